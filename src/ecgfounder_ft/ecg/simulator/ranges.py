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
- Chou: Surawicz & Knilans, Chou's Electrocardiography in Clinical Practice, 6th ed., Saunders 2008.
- AHA-V: Hancock et al., part V: cardiac chamber hypertrophy. Circulation 2009;119:e251.
- HRS 2018: Kusumoto et al., Guideline on bradycardia and cardiac conduction delay. Circulation 140:e382.
- ACC 2015: Page et al., Guideline on supraventricular tachycardia. Circulation 133:e506.
- UDMI 2018: Thygesen et al., Fourth universal definition of myocardial infarction. Circulation 138:e618.
- chosen: no published range; set so that the pictures look as recordings do.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Range:
    """A quantity that differs from patient to patient, drawn between two limits."""

    low: float
    high: float
    unit: str
    source: str
    logarithmic: bool = False
    """Drawn evenly on a logarithmic scale: small values are as common as large ones."""

    def draw(self, rng: np.random.Generator) -> float:
        """One patient's value."""
        if self.logarithmic:
            return float(np.exp(rng.uniform(np.log(self.low), np.log(self.high))))
        return float(rng.uniform(self.low, self.high))


Ranges = Mapping[str, Range]
"""Quantity to its range."""

RANGES: dict[str, Range] = {
    # rhythm
    "sinus rate": Range(60, 100, "1/min", "Rijnbeek 2014; the definition of a normal sinus rate"),
    "sinus rate, bradycardia": Range(38, 59, "1/min", "HRS 2018: below 60, symptomatic below 50"),
    "sinus rate, tachycardia": Range(101, 155, "1/min", "ACC 2015: above 100"),
    "respiratory rate": Range(0.15, 0.40, "Hz", "Malik 1996: high-frequency band"),
    "respiratory RR modulation": Range(0.005, 0.05, "of RR", "McSharry 2003; Malik 1996"),
    "respiratory RR modulation, sinus arrhythmia": Range(0.07, 0.20, "of RR", "Chou: PP varies by over 0.12 s"),
    "0.1 Hz RR modulation": Range(0.005, 0.03, "of RR", "McSharry 2003: Mayer waves"),
    "RR jitter": Range(0.002, 0.012, "of RR", "chosen"),
    "afib rate": Range(48, 165, "1/min", "ESC 2020: from well controlled to rapid conduction"),
    "afib RR coefficient of variation": Range(0.09, 0.32, "1", "Clifford 2006, ch. 3: absolutely irregular RR"),
    "junctional rate": Range(38, 75, "1/min", "HRS 2018: escape 40-60, accelerated above"),
    "svt rate": Range(140, 215, "1/min", "ACC 2015: AVNRT and AVRT"),
    "vt rate": Range(125, 215, "1/min", "Chou: ventricular tachycardia"),
    "paced rate": Range(58, 95, "1/min", "chosen: lower rate 60, sensor-driven above"),
    "ectopic share": Range(0.06, 0.35, "of beats", "chosen: at least one in most 10 s strips"),
    "PAC prematurity": Range(0.55, 0.82, "of RR", "Chou"),
    "PVC prematurity": Range(0.48, 0.75, "of RR", "Chou"),
    # atria
    "P duration": Range(0.080, 0.120, "s", "Rijnbeek 2014"),
    "P duration, enlarged": Range(0.120, 0.150, "s", "AHA-V: left atrial abnormality, at least 120 ms"),
    "P amplitude": Range(0.28, 1.6, "of the template", "Rijnbeek 2014: 0.05-0.25 mV in lead II"),
    "P rotation": Range(-35, 35, "degrees", "Rijnbeek 2014: P axis about 0-75"),
    "PR": Range(0.118, 0.194, "s", "Rijnbeek 2014; normal up to 200 ms"),
    "PR, short": Range(0.085, 0.118, "s", "definition: below 120 ms"),
    "PR, first-degree block": Range(0.208, 0.380, "s", "definition: above 200 ms; 400 ms and more is rare"),
    "flutter rate": Range(250, 350, "1/min", "Saoudi 2001: typical flutter 240-350"),
    "flutter rate, slow": Range(190, 250, "1/min", "Saoudi 2001: with drugs or after ablation"),
    "flutter amplitude": Range(0.05, 0.28, "mV", "chosen: in the inferior leads"),
    "flutter to QRS": Range(0.12, 0.22, "s", "chosen: AV conduction time"),
    "f-wave frequency": Range(4.0, 9.0, "Hz", "Petrutiu 2006"),
    "f-wave amplitude": Range(0.008, 0.13, "mV", "Stridh 2001; fine to coarse fibrillation in V1", True),
    # ventricles
    "QRS, normal": Range(0.074, 0.108, "s", "Rijnbeek 2014"),
    "QRS, rbbb": Range(0.120, 0.172, "s", "AHA-III: at least 120 ms"),
    "QRS, lbbb": Range(0.122, 0.190, "s", "AHA-III: at least 120 ms"),
    "QRS, irbbb": Range(0.092, 0.116, "s", "AHA-III: 110-119 ms; in use from about 90"),
    "QRS, ilbbb": Range(0.106, 0.118, "s", "AHA-III: 110-119 ms"),
    "QRS, ivcd": Range(0.112, 0.155, "s", "AHA-III: above 110 ms without the criteria of a block"),
    "QRS, wpw": Range(0.110, 0.150, "s", "ACC 2015"),
    "QRS, paced": Range(0.140, 0.200, "s", "Chou: right ventricular pacing"),
    "QRS, ventricular": Range(0.125, 0.190, "s", "Chou: premature ventricular beats"),
    "QTc": Range(0.365, 0.450, "s", "AHA-IV; Fridericia's correction"),
    "QTc, long": Range(0.460, 0.540, "s", "AHA-IV: at least 450 ms in men, 460 in women"),
    "QRS amplitude": Range(0.6, 1.5, "of the template", "Rijnbeek 2014"),
    "QRS amplitude, low voltage": Range(0.20, 0.45, "of the template", "Chou: below 0.5 mV in the limb leads"),
    "QRS amplitude, lvh": Range(1.5, 2.4, "of the template", "AHA-V: Sokolow-Lyon above 3.5 mV"),
    "T amplitude": Range(0.4, 1.6, "of the template", "AHA-IV"),
    "T amplitude, abnormal": Range(-1.0, 0.2, "of the template", "AHA-IV: flat to inverted"),
    "frontal rotation": Range(-50, 40, "degrees", "Rijnbeek 2014: frontal axis about -20 to 95"),
    "frontal rotation, lbbb": Range(-95, 20, "degrees", "AHA-III: a left or a normal axis"),
    "frontal rotation, lafb": Range(-115, -88, "degrees", "AHA-III: axis -45 to -90; here from about -30"),
    "frontal rotation, lpfb": Range(45, 80, "degrees", "AHA-III: axis 90 to 180"),
    "frontal rotation, paced": Range(-125, -60, "degrees", "Chou: from the right ventricular apex"),
    "horizontal rotation": Range(-28, 42, "degrees", "chosen: transition between V2 and V6"),
    "sagittal rotation": Range(-15, 15, "degrees", "chosen"),
    "T rotation": Range(-30, 30, "degrees", "chosen: against the QRS vector"),
    "ST level": Range(0.0, 0.14, "of T", "AHA-IV: normal ST is close to the baseline"),
    "ST deviation": Range(0.05, 0.25, "mV", "UDMI 2018: from 0.05 mV"),
    "infarct Q": Range(0.25, 0.75, "mV", "UDMI 2018: Q waves, here the lost vector"),
    "U amplitude": Range(0.0, 0.10, "of T", "AHA-IV"),
    "late right vector": Range(0.38, 1.6, "of the template", "AHA-III: r' to a tall R' in V1", True),
    "notches": Range(0.0, 0.10, "of QRS", "Chou: fragmentation"),
    "breathing of the QRS": Range(0.01, 0.10, "of amplitude", "Schijvenaars 2008"),
    # electrodes and devices
    "chest gain": Range(0.7, 2.0, "1", "chosen: thin and stout chests, against the limb leads", True),
    "precordial gain": Range(0.75, 1.25, "1", "Schijvenaars 2008: distance of each chest electrode"),
    "electrode shift": Range(-0.4, 0.4, "electrode spacings", "Schijvenaars 2008: about an interspace"),
    "lead vector error": Range(0.02, 0.12, "of its length", "chosen: what a single dipole does not explain"),
    "baseline wander": Range(0.0, 0.15, "mV", "Clifford 2006, ch. 3"),
    "muscle noise": Range(0.001, 0.045, "mV", "Clifford 2006, ch. 3", True),
    "motion noise": Range(0.001, 0.025, "mV", "Clifford 2006, ch. 3: electrode motion, coloured like the ECG", True),
    "mains noise": Range(0.0, 0.015, "mV", "Clifford 2006, ch. 3"),
    "low-pass": Range(35, 150, "Hz", "Kligfield 2007: 150 Hz; 40 Hz is a common filter setting"),
    "high-pass": Range(0.05, 0.6, "Hz", "Kligfield 2007: 0.05 Hz; 0.5 Hz is a common filter setting"),
}
"""The only place that holds them."""
