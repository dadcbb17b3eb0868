"""What an ECG is: leads, recordings, preprocessing, simulation, drawing. Knows neither torch nor any dataset."""
