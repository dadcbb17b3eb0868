"""MIMIC-IV-ECG version 1.0 (https://physionet.org/content/mimic-iv-ecg/1.0/)."""

MIMIC_IV_ECG = "mimic_iv_ecg"
"""The dataset's name in catalogs."""
