"""Every number that the simulated hearts are drawn from, with its unit and where it comes from.

Sources, by the short name used below:

- AHA-III: Surawicz et al., AHA/ACCF/HRS recommendations for the standardization and interpretation of the
  electrocardiogram, part III: intraventricular conduction disturbances. Circulation 2009;119:e235.
- AHA-IV: Rautaharju et al., part IV: ST segment, T and U waves, QT interval. Circulation 2009;119:e241.
- Rijnbeek 2014: Normal values of the electrocardiogram for ages 16-90. J Electrocardiol 47:914.
- Kligfield 2007: AHA/ACC/HRS recommendations, part I: technology. Circulation 115:1306.
- Saoudi 2001: Classification of atrial flutter and regular atrial tachycardia. Eur Heart J 22:1162.
- Stridh 2001: Stridh & Sörnmo, Spatiotemporal QRST cancellation in atrial fibrillation. IEEE TBME 48:105.
- Petrutiu 2006: Atrial fibrillation and waveform characteristics. IEEE EMB Magazine 25(6):24.
- ESC 2020: Guidelines for atrial fibrillation. Eur Heart J 42:373.
- McSharry 2003: A dynamical model for generating synthetic electrocardiogram signals. IEEE TBME 50:289.
- Malik 1996: Heart rate variability, Task Force of ESC and NASPE. Circulation 93:1043.
- Schijvenaars 2008: Intraindividual variability in electrocardiograms. J Electrocardiol 41:190.
- Clifford 2006: Clifford, Azuaje & McSharry, Advanced Methods and Tools for ECG Data Analysis. Artech House.
- chosen: no published range; set so that the pictures look as recordings do.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Range:
    """A quantity that differs from patient to patient, drawn evenly between two limits."""

    low: float
    high: float
    unit: str
    source: str

    def draw(self, rng: np.random.Generator) -> float:
        """One patient's value."""
        return float(rng.uniform(self.low, self.high))


RANGES: dict[str, Range] = {
    # rhythm
    "sinus rate": Range(60, 100, "1/min", "Rijnbeek 2014; the definition of a normal sinus rate"),
    "sinus rate, other findings": Range(55, 105, "1/min", "chosen: most patients with a block are near normal rates"),
    "afib rate": Range(50, 160, "1/min", "ESC 2020: from well controlled to rapid conduction"),
    "afib RR coefficient of variation": Range(0.14, 0.30, "1", "Clifford 2006, ch. 3: absolutely irregular RR"),
    "respiratory rate": Range(0.15, 0.40, "Hz", "Malik 1996: high-frequency band"),
    "respiratory RR modulation": Range(0.005, 0.05, "of RR", "McSharry 2003; Malik 1996"),
    "0.1 Hz RR modulation": Range(0.005, 0.03, "of RR", "McSharry 2003: Mayer waves"),
    "RR jitter": Range(0.002, 0.012, "of RR", "chosen"),
    # atria
    "P duration": Range(0.080, 0.118, "s", "Rijnbeek 2014"),
    "P amplitude": Range(0.55, 1.5, "of the template", "Rijnbeek 2014: 0.05-0.25 mV in lead II"),
    "PR": Range(0.120, 0.195, "s", "Rijnbeek 2014; normal up to 200 ms"),
    "PR, first-degree block": Range(0.212, 0.380, "s", "definition: above 200 ms; 400 ms and more is rare"),
    "flutter rate": Range(250, 350, "1/min", "Saoudi 2001: typical flutter 240-350"),
    "flutter amplitude": Range(0.10, 0.30, "mV", "chosen: in the inferior leads"),
    "flutter to QRS": Range(0.12, 0.22, "s", "chosen: AV conduction time"),
    "f-wave frequency": Range(4.0, 9.0, "Hz", "Petrutiu 2006"),
    "f-wave amplitude": Range(0.025, 0.12, "mV", "Stridh 2001; fine to coarse fibrillation in V1"),
    # ventricles
    "QRS, normal": Range(0.078, 0.108, "s", "Rijnbeek 2014"),
    "QRS, rbbb": Range(0.122, 0.170, "s", "AHA-III: at least 120 ms"),
    "QRS, lbbb": Range(0.126, 0.185, "s", "AHA-III: at least 120 ms"),
    "QTc": Range(0.370, 0.450, "s", "AHA-IV; Fridericia's correction"),
    "QRS amplitude": Range(0.6, 1.5, "of the template", "Rijnbeek 2014"),
    "T amplitude": Range(0.5, 1.5, "of the template", "AHA-IV"),
    "frontal rotation": Range(-45, 35, "degrees", "Rijnbeek 2014: frontal axis about -20 to 90"),
    "frontal rotation, lbbb": Range(-60, 15, "degrees", "AHA-III: a left or a normal axis"),
    "horizontal rotation": Range(-25, 25, "degrees", "chosen: transition between V2 and V5"),
    "sagittal rotation": Range(-15, 15, "degrees", "chosen"),
    "T rotation": Range(-20, 20, "degrees", "chosen: against the QRS vector"),
    "ST level": Range(0.02, 0.12, "of T", "AHA-IV: normal ST is close to the baseline"),
    # electrodes and devices
    "precordial gain": Range(0.8, 1.2, "1", "Schijvenaars 2008: distance of the chest electrodes"),
    "electrode shift": Range(-0.35, 0.35, "electrode spacings", "Schijvenaars 2008: about an interspace"),
    "baseline wander": Range(0.0, 0.15, "mV", "Clifford 2006, ch. 3"),
    "muscle noise": Range(0.002, 0.025, "mV", "Clifford 2006, ch. 3"),
    "mains noise": Range(0.0, 0.015, "mV", "Clifford 2006, ch. 3"),
    "low-pass": Range(40, 150, "Hz", "Kligfield 2007: 150 Hz; 40 Hz is a common filter setting"),
    "high-pass": Range(0.05, 0.5, "Hz", "Kligfield 2007: 0.05 Hz; 0.5 Hz is a common filter setting"),
}
"""Quantity to its range. The only place that holds them."""
