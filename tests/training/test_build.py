"""What is said where a pretrained network is built."""

import logging

import pytest

from ecgfounder_ft.ecg.preprocessing import Preprocessing
from ecgfounder_ft.ecg.preprocessing_settings import BandPass, Window
from ecgfounder_ft.training.build import warn_of_other_preprocessing


def test_other_preprocessing_than_the_pretraining_s_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        warn_of_other_preprocessing(Preprocessing(leads=["I"], window=Window(min_seconds=2.0)), "demo_1_lead")
    assert not caplog.messages
    changed = Preprocessing(notch=None, band_pass=BandPass(high=45.0), window=Window(seconds=2.5))
    with caplog.at_level(logging.WARNING):
        warn_of_other_preprocessing(changed, "12_lead_ECGFounder")
    assert caplog.messages == [
        "preprocessing.notch=null, but 12_lead_ECGFounder was pretrained with {frequency:50.0,quality:30.0}",
        "preprocessing.band_pass={low:0.67,high:45.0,order:4}, but 12_lead_ECGFounder was pretrained with "
        "{low:0.67,high:40.0,order:4}",
        "preprocessing.window.seconds=2.5, but 12_lead_ECGFounder was pretrained with 10.0",
    ]
