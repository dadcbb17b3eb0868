"""Fine-tune ECGFounder from a checkout; ``ecgfounder-ft train`` is the same, anywhere."""

from ecgfounder_ft.train import main

if __name__ == "__main__":
    main()
