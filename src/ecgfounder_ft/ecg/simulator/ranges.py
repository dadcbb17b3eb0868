"""Ranges that simulated hearts are drawn from, with unit and source.

Sources, by the short name used below:

- AHA-III: Surawicz et al., AHA/ACCF/HRS recommendations for the standardization and interpretation of the
  electrocardiogram, part III: intraventricular conduction disturbances. Circulation 2009;119:e235.
- AHA-IV: Rautaharju et al., part IV: ST segment, T and U waves, QT interval. Circulation 2009;119:e241.
- AHA-V: Hancock et al., part V: cardiac chamber hypertrophy. Circulation 2009;119:e251.
- Mason 2007: Electrocardiographic reference ranges derived from 79,743 ambulatory subjects. J Electrocardiol 40:228;
  2nd and 98th percentiles of 46,129 without likely heart disease.
- ELSA: Electrocardiographic findings in Brazilian adults without heart disease: ELSA-Brasil. Arq Bras Cardiol
  2017;109:416; medians of 11,094 men and women.
- Wagner 2020: PTB-XL, a large publicly available electrocardiography dataset. Sci Data 7:154.
- Rijnbeek 2014: Normal values of the electrocardiogram for ages 16-90. J Electrocardiol 47:914.
- Kligfield 2007: AHA/ACC/HRS recommendations, part I: technology. Circulation 115:1306.
- Saoudi 2001: Classification of atrial flutter and regular atrial tachycardia. Eur Heart J 22:1162.
- Cheng 2013: The amplitude of fibrillatory waves on leads aVF and V1. Ann Noninvasive Electrocardiol 18:352; in V1
  0.15 (SD 0.05) mV before a successful ablation, 0.12 (SD 0.03) mV before a failed one.
- Zhao 2018: Coarse fibrillatory waves in atrial fibrillation predict success of electrical cardioversion. PMID
  29271577; waves of at least 0.1 mV in II or V1 in a third of the patients.
- Petrutiu 2006: Atrial fibrillation and waveform characteristics. IEEE EMB Magazine 25(6):24.
- Bootsma 1970: Analysis of R-R intervals in patients with atrial fibrillation at rest and during exercise. Circulation
  41:783.
- ESC 2020: Guidelines for atrial fibrillation. Eur Heart J 42:373.
- McSharry 2003: A dynamical model for generating synthetic electrocardiogram signals. IEEE TBME 50:289.
- Malik 1996: Heart rate variability, Task Force of ESC and NASPE. Circulation 93:1043.
- Schijvenaars 2008: Intraindividual variability in electrocardiograms. J Electrocardiol 41:190.
- Clifford 2006: Clifford, Azuaje & McSharry, Advanced Methods and Tools for ECG Data Analysis. Artech House.
- Chou: Surawicz & Knilans, Chou's Electrocardiography in Clinical Practice, 6th ed., Saunders 2008.
- HRS 2018: Kusumoto et al., Guideline on bradycardia and cardiac conduction delay. Circulation 140:e382.
- ACC 2015: Page et al., Guideline on supraventricular tachycardia. Circulation 133:e506.
- UDMI 2018: Thygesen et al., Fourth universal definition of myocardial infarction. Circulation 138:e618.
- chosen: without a published range; set so that drawings look like real recordings.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri


@dataclass(frozen=True)
class Range:
    """A quantity that differs from patient to patient, drawn between two limits."""

    low: float
    high: float
    unit: str
    source: str
    logarithmic: bool = False
    """Whether the scale is logarithmic: small values are as common as large ones."""
    percentiles: tuple[float, float] | None = None
    """2nd and 98th percentile of a normal (or lognormal) distribution, cut off at ``low`` and ``high``; None:
    values are spread evenly between the limits."""

    def draw(self, rng: np.random.Generator, shift: float = 0.0) -> float:
        """Draw one patient's value.

        Args:
            rng: source of randomness.
            shift: moves the normal distribution, but not its limits, by an effect of age and sex.
        """
        low, high = (np.log(self.low), np.log(self.high)) if self.logarithmic else (self.low, self.high)
        if self.percentiles is None:
            value = rng.uniform(low, high)
        else:
            ends = np.array(self.percentiles) + shift
            ends = np.log(ends) if self.logarithmic else ends
            mean, deviation = ends.mean(), (ends[1] - ends[0]) / (2 * _NINETY_EIGHTH)
            at_low, at_high = ndtr((low - mean) / deviation), ndtr((high - mean) / deviation)
            value = np.clip(mean + deviation * ndtri(rng.uniform(at_low, at_high)), low, high)
        return float(np.exp(value)) if self.logarithmic else float(value)


_NINETY_EIGHTH = float(ndtri(0.98))
"""Distance of the 98th percentile from the mean, in standard deviations."""

Ranges = Mapping[str, Range]
"""Ranges by the name of the quantity."""

RANGES: dict[str, Range] = {
    # patient
    "age": Range(18, 95, "years", "Wagner 2020: median 62, interquartile range 22", percentiles=(28, 95)),
    # rhythm
    "sinus rate": Range(
        60, 100, "1/min", "Mason 2007: 48-98; 60-100 by the definition of a normal rate", percentiles=(50, 104)
    ),
    "sinus rate, bradycardia": Range(38, 59, "1/min", "HRS 2018: below 60, symptomatic below 50"),
    "sinus rate, tachycardia": Range(101, 155, "1/min", "ACC 2015: above 100"),
    "respiratory rate": Range(0.15, 0.40, "Hz", "Malik 1996: high-frequency band"),
    "respiratory RR modulation": Range(0.005, 0.05, "of RR", "McSharry 2003; Malik 1996"),
    "respiratory RR modulation, sinus arrhythmia": Range(0.07, 0.20, "of RR", "Chou: PP varies by over 0.12 s"),
    "0.1 Hz RR modulation": Range(0.005, 0.03, "of RR", "McSharry 2003: Mayer waves"),
    "RR jitter": Range(0.002, 0.012, "of RR", "chosen"),
    "afib rate": Range(45, 170, "1/min", "ESC 2020: from well controlled to rapid conduction", percentiles=(48, 150)),
    "afib RR coefficient of variation": Range(
        0.11, 0.36, "1", "Bootsma 1970: irregular at rest and in exercise", percentiles=(0.12, 0.34)
    ),
    "junctional rate": Range(38, 75, "1/min", "HRS 2018: escape 40-60, accelerated above"),
    "ectopic atrial rate": Range(50, 105, "1/min", "Chou: ectopic atrial rhythm; wandering pacemaker"),
    "multifocal rate": Range(100, 150, "1/min", "ACC 2015: multifocal atrial tachycardia above 100"),
    "blocked sinus rate": Range(55, 110, "1/min", "HRS 2018: the sinus node above a second- or third-degree block"),
    "junctional escape rate": Range(38, 60, "1/min", "HRS 2018"),
    "ventricular escape rate": Range(25, 42, "1/min", "HRS 2018"),
    "svt rate": Range(140, 215, "1/min", "ACC 2015: AVNRT and AVRT"),
    "vt rate": Range(125, 215, "1/min", "Chou: ventricular tachycardia"),
    "paced rate": Range(58, 95, "1/min", "chosen: lower rate 60, sensor-driven above"),
    "ectopic share": Range(0.06, 0.35, "of beats", "chosen: at least one in most 10 s strips"),
    "PAC prematurity": Range(0.55, 0.82, "of RR", "Chou"),
    "PVC prematurity": Range(0.48, 0.75, "of RR", "Chou"),
    # atria
    "P duration": Range(
        0.070, 0.130, "s", "ELSA: medians 112 and 108 ms, here the width of two Gaussians", percentiles=(0.080, 0.126)
    ),
    "P duration, enlarged": Range(0.120, 0.150, "s", "AHA-V: left atrial abnormality, at least 120 ms"),
    "P amplitude": Range(
        0.35, 2.3, "of the template", "Rijnbeek 2014: 0.05-0.25 mV in lead II", percentiles=(0.48, 1.95)
    ),
    "P rotation": Range(
        -50, 50, "degrees", "ELSA: median P axis 54 and 57 degrees; frontal plane", percentiles=(-32, 28)
    ),
    "P rotation, horizontal": Range(-35, 35, "degrees", "Chou: P upright from V2 or V3 on", percentiles=(-22, 22)),
    "P rotation, ectopic": Range(110, 230, "degrees", "Chou: inverted in the inferior leads"),
    "PR": Range(0.112, 0.200, "s", "Mason 2007: 113-212 ms; above 200 is a block", percentiles=(0.113, 0.212)),
    "PR, short": Range(0.085, 0.118, "s", "definition: below 120 ms"),
    "PR, ectopic atrial": Range(0.095, 0.180, "s", "Chou: often short, from near the AV node"),
    "PR, first-degree block": Range(
        0.205, 0.400, "s", "definition: above 200 ms; 400 ms and more is rare", True, (0.200, 0.340)
    ),
    "flutter rate": Range(240, 350, "1/min", "Saoudi 2001: typical flutter 240-350", percentiles=(240, 340)),
    "flutter rate, slow": Range(190, 250, "1/min", "Saoudi 2001: with drugs or after ablation"),
    "flutter amplitude": Range(
        0.10, 0.40, "mV", "Chou: 0.1 to 0.35 mV from peak to trough in the inferior leads", percentiles=(0.10, 0.35)
    ),
    "flutter amplitude, atypical": Range(0.05, 0.30, "mV", "Saoudi 2001: low, smooth waves", percentiles=(0.05, 0.25)),
    "flutter to QRS": Range(0.12, 0.22, "s", "chosen: AV conduction time"),
    "f-wave frequency": Range(4.0, 9.0, "Hz", "Petrutiu 2006", percentiles=(4.4, 8.4)),
    "f-wave amplitude": Range(
        0.025, 0.30, "mV", "Zhao 2018, Cheng 2013: from peak to trough in V1", True, (0.035, 0.26)
    ),
    # ventricles
    "QRS, normal": Range(0.068, 0.109, "s", "Mason 2007: 69-109 ms", percentiles=(0.069, 0.109)),
    "QRS, rbbb": Range(0.120, 0.172, "s", "AHA-III: at least 120 ms"),
    "QRS, lbbb": Range(0.122, 0.190, "s", "AHA-III: at least 120 ms"),
    "QRS, irbbb": Range(0.092, 0.116, "s", "AHA-III: 110-119 ms; in use from about 90"),
    "QRS, ilbbb": Range(0.106, 0.118, "s", "AHA-III: 110-119 ms"),
    "QRS, ivcd": Range(0.112, 0.155, "s", "AHA-III: above 110 ms without the criteria of a block"),
    "QRS, wpw": Range(0.110, 0.150, "s", "ACC 2015"),
    "QRS, paced": Range(0.140, 0.200, "s", "Chou: right ventricular pacing"),
    "QRS, ventricular": Range(0.125, 0.190, "s", "Chou: premature ventricular beats"),
    "QTc": Range(0.350, 0.450, "s", "Mason 2007: 359-445 ms by Fridericia's correction", percentiles=(0.359, 0.445)),
    "QTc, long": Range(0.460, 0.540, "s", "AHA-IV: at least 450 ms in men, 460 in women"),
    "QRS amplitude": Range(0.5, 1.9, "of the template", "Rijnbeek 2014", percentiles=(0.60, 1.45)),
    "QRS amplitude, low voltage": Range(0.20, 0.45, "of the template", "Chou: below 0.5 mV in the limb leads"),
    "QRS amplitude, lvh": Range(1.5, 2.4, "of the template", "AHA-V: Sokolow-Lyon above 3.5 mV"),
    "T amplitude": Range(0.3, 1.9, "of the template", "AHA-IV", percentiles=(0.4, 1.7)),
    "T amplitude, abnormal": Range(-1.0, 0.2, "of the template", "AHA-IV: flat to inverted"),
    "frontal rotation": Range(-85, 55, "degrees", "Mason 2007: axis -40 to 91 degrees", percentiles=(-52, 28)),
    "frontal rotation, lbbb": Range(-90, 45, "degrees", "AHA-III: a normal or a left axis", percentiles=(-65, 35)),
    "frontal rotation, lafb": Range(-115, -88, "degrees", "AHA-III: axis -45 to -90; here from about -30"),
    "frontal rotation, lpfb": Range(45, 80, "degrees", "AHA-III: axis 90 to 180"),
    "frontal rotation, paced": Range(-125, -60, "degrees", "Chou: from the right ventricular apex"),
    "horizontal rotation": Range(-30, 45, "degrees", "Chou: transition between V2 and V5", percentiles=(-22, 36)),
    "sagittal rotation": Range(-20, 20, "degrees", "chosen", percentiles=(-15, 15)),
    "T rotation": Range(
        -40, 40, "degrees", "ELSA: median T axis 39 and 45 degrees; against the QRS vector", percentiles=(-30, 30)
    ),
    "ST level": Range(0.0, 0.14, "of T", "AHA-IV: normal ST is close to the baseline"),
    "ST deviation": Range(0.05, 0.25, "mV", "UDMI 2018: from 0.05 mV"),
    "ST depression": Range(0.06, 0.30, "mV", "UDMI 2018: from 0.05 mV in two neighbouring leads", True),
    "ST elevation": Range(0.06, 0.25, "mV", "AHA-IV: early repolarisation and pericarditis, widespread", True),
    "ST elevation, acute infarct": Range(0.12, 0.60, "mV", "UDMI 2018: from 0.1, in V2-V3 from 0.2 mV", True),
    "infarct Q": Range(0.25, 0.75, "mV", "UDMI 2018: Q waves, here the lost vector"),
    "U amplitude": Range(0.0, 0.10, "of T", "AHA-IV"),
    "late right vector": Range(0.38, 1.4, "of the template", "AHA-III: r' to a tall R' in V1", True),
    "notches": Range(0.0, 0.10, "of QRS", "Chou: fragmentation"),
    "breathing of the QRS": Range(0.01, 0.10, "of amplitude", "Schijvenaars 2008"),
    # electrodes and devices
    "chest gain": Range(0.6, 1.7, "1", "chosen: thin and stout chests, against the limb leads", True, (0.65, 1.35)),
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
"""Ranges of the pretraining; no other module holds numbers of these quantities."""


@dataclass(frozen=True)
class Effect:
    """Effect of age and sex on a quantity, in its unit."""

    per_decade: float
    """Change per ten years of age; 0 at 60 years."""
    female: float
    """Difference of women from men; each sex is moved by half of it."""
    source: str

    def shift(self, age: float, female: bool) -> float:
        """Return how far a patient lies from the mean of the population."""
        return self.per_decade * (age - 60) / 10 + self.female * (0.5 if female else -0.5)


EFFECTS: dict[str, Effect] = {
    "sinus rate": Effect(0.0, 3.0, "ELSA: medians 63 and 66 per minute"),
    "PR": Effect(0.003, -0.006, "ELSA: 164 and 158 ms; Mason 2007: longer with age, slope chosen"),
    "P duration": Effect(0.001, -0.004, "ELSA: 112 and 108 ms; slope chosen"),
    "QRS, normal": Effect(0.0, -0.006, "ELSA: 92 and 86 ms"),
    "QTc": Effect(0.0015, 0.011, "ELSA: 410 and 421 ms; slope chosen"),
    "frontal rotation": Effect(-5.0, 4.0, "ELSA: 35 and 39 degrees; Mason 2007: to the left with age, slope chosen"),
    "QRS amplitude": Effect(-0.03, -0.10, "Rijnbeek 2014: lower in women and with age; sizes chosen"),
}
"""Effects by the name of the quantity; other quantities depend on neither age nor sex."""
