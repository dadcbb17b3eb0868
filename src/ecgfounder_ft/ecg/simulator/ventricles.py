"""The ventricles' part of the dipole: QRS complexes, ST segments, T and U waves."""

import numpy as np
from numpy.typing import NDArray

from ecgfounder_ft.ecg.simulator.atria import pacing_spike
from ecgfounder_ft.ecg.simulator.beats import Beats
from ecgfounder_ft.ecg.simulator.dipole import (
    LOST_VECTOR,
    QRS,
    ST_VECTOR,
    T_VECTOR,
    Waves,
    add_waves,
    joined,
    repolarisation,
)
from ecgfounder_ft.ecg.simulator.lead_vectors import rotation
from ecgfounder_ft.ecg.simulator.physiology import Physiology
from ecgfounder_ft.ecg.simulator.sitting import Sitting


def ventricular_dipoles(
    physiology: Physiology, beats: Beats, sitting: Sitting
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Compute the dipoles of activation and of recovery, (samples, 3) mV each in Frank's axes."""
    time, sampling_rate, rng, anatomy = sitting.time, sitting.sampling_rate, sitting.rng, sitting.anatomy
    activation = np.zeros((len(time), 3), dtype=np.float32)
    recovery = np.zeros((len(time), 3), dtype=np.float32)
    turn = rotation(physiology.frontal, physiology.horizontal, physiology.sagittal)
    own = _activation(physiology, sitting, turn), _recovery(physiology, sitting, turn)
    onsets = beats.qrs - time[0]
    depth, frequency = sitting.of_today("breathing of the QRS"), sitting.of_today("respiratory rate")
    size = 1 + depth * np.sin(2 * np.pi * (frequency * beats.qrs + rng.uniform()))
    size *= rng.normal(1, 0.015, len(size))
    # QT follows the interval before the beat, slowly: half the beat's own, half the mean (AHA-IV)
    conducted = beats.kind != "dropped"
    rr = 0.5 * beats.rr.clip(0.25, 2.0) + 0.5 * float(np.mean(beats.rr[conducted].clip(0.25, 2.0)))
    groups = [((beats.kind == "conducted") | (beats.kind == "atrial"), own)]
    if (beats.kind == "ventricular").any():
        groups.append((beats.kind == "ventricular", _ectopic_beat(physiology, sitting)))
    for which, (qrs, st_t) in groups:
        add_waves(activation, onsets[which], qrs, sampling_rate, size=size[which])
        add_waves(recovery, onsets[which], st_t, sampling_rate, size=size[which], stretch=np.cbrt(rr[which]))
    if physiology.conduction == "paced":
        add_waves(activation, onsets[groups[0][0]], pacing_spike(anatomy), sampling_rate)
    return activation, recovery


def _activation(physiology: Physiology, sitting: Sitting, turn: NDArray) -> Waves:
    """Draw the patient's QRS."""
    anatomy = sitting.anatomy
    template = QRS[physiology.conduction].varied(anatomy, timing=0.3, size=0.2, direction=0.045).rotated(turn)
    late = {"rbbb": 2, "irbbb": 1}.get(physiology.conduction, 0)
    if late:
        # the right ventricle's own part: of very different size, and hardly moved by the left ventricle's axis
        own = QRS[physiology.conduction].vector[-late:] * sitting.own("late right vector")
        own = own * np.exp(anatomy.normal(0, 0.2, (late, 1))) + anatomy.normal(0, 0.08, (late, 3))
        spared = rotation(0.25 * physiology.frontal, 0.5 * physiology.horizontal, physiology.sagittal)
        template.vector[-late:] = own @ spared.T
    for name, direction in LOST_VECTOR.items():
        if f"{name} infarct" in physiology.findings:
            depth = sitting.own("infarct Q")
            x, y, z = turn @ (depth * np.array(direction))
            scar = Waves.of((anatomy.uniform(0.22, 0.36), anatomy.uniform(0.08, 0.12), x, y, z))
            template = joined(template, scar)
    if "rvh" in physiology.findings:
        x, y, z = anatomy.uniform(0.5, 1.1) * np.array([-0.7, 0.15, -0.75])
        template = joined(template, Waves.of((anatomy.uniform(0.5, 0.7), 0.11, x, y, z)))
    notches = sitting.own("notches") * np.linalg.norm(template.vector, axis=1).max()
    count = int(anatomy.integers(0, 4))
    if count:
        table = [
            (
                anatomy.uniform(0.15, 0.9),
                anatomy.uniform(0.02, 0.05) * min(1.0, 0.1 / physiology.qrs) + 0.01,
                *anatomy.normal(0, notches, 3),
            )
            for _ in range(count)
        ]
        template = joined(template, Waves.of(*table))
    return template.scaled(time=physiology.qrs, size=physiology.qrs_size)


def _recovery(physiology: Physiology, sitting: Sitting, turn: NDArray) -> Waves:
    """Draw the patient's ST segment, T and U wave at a rate of 60."""
    anatomy = sitting.anatomy
    if physiology.conduction in {"normal", "irbbb"}:  # T waves that are not secondary to the QRS turn less than it does
        turn = rotation(0.4 * physiology.frontal, 0.4 * physiology.horizontal, 0.5 * physiology.sagittal)
    t_turn = rotation(physiology.t_rotation, physiology.t_rotation, 0) @ turn
    t_vector = t_turn @ (physiology.t_size * np.array(T_VECTOR[physiology.conduction]))
    if physiology.conduction in {"lbbb", "rbbb", "paced", "ivcd"}:
        t_vector = t_vector * physiology.qrs_size  # secondary changes grow with the QRS
    for name, direction in LOST_VECTOR.items():
        if f"{name} infarct" in physiology.findings:
            t_vector = t_vector + anatomy.uniform(-0.1, 0.5) * np.array(direction)
    st_vector = physiology.st_share * t_vector
    if "ST change" in physiology.findings:
        towards = anatomy.normal(0, 1, 3)
        st_vector = st_vector + sitting.own("ST deviation") * towards / np.linalg.norm(towards)
    for name in ("ST depression", "ST elevation"):
        if name in physiology.findings:
            st_vector = st_vector + sitting.own(name) * _about(ST_VECTOR[name], anatomy)
    if "acute infarct" in physiology.findings:
        wall = str(anatomy.choice(["anterior", "inferior", "lateral"], p=[0.45, 0.45, 0.10]))
        injury = sitting.own("ST elevation, acute infarct") * _about(ST_VECTOR[wall], anatomy)
        st_vector = st_vector + injury
        t_vector = t_vector + anatomy.uniform(0.2, 1.2) * injury
    u_share = sitting.own("U amplitude")
    skew = anatomy.uniform(0.6, 2.0)
    return repolarisation(t_vector, st_vector, u_share, physiology.qrs, physiology.qtc, skew)


def _about(direction: tuple[float, float, float], anatomy: np.random.Generator) -> NDArray[np.float64]:
    """Draw a unit vector within some 15 degrees of a direction."""
    vector = np.array(direction) / np.linalg.norm(direction) + anatomy.normal(0, 0.15, 3)
    return vector / np.linalg.norm(vector)


def _ectopic_beat(physiology: Physiology, sitting: Sitting) -> tuple[Waves, Waves]:
    """Draw a ventricular ectopic beat: a wide QRS from anywhere, and a T wave against it."""
    anatomy = sitting.anatomy
    template = QRS[str(anatomy.choice(["lbbb", "rbbb", "paced", "ivcd"]))]
    turn = rotation(anatomy.uniform(-150, 120), anatomy.uniform(-60, 60), anatomy.uniform(-40, 40))
    duration = sitting.own("QRS, ventricular")
    size = physiology.qrs_size * anatomy.uniform(0.9, 1.7)
    qrs = template.varied(anatomy, timing=0.3, size=0.25, direction=0.1).scaled(time=duration, size=size).rotated(turn)
    net = (qrs.vector * (qrs.width / duration)[:, None]).sum(axis=0)
    t_vector = -net * anatomy.uniform(0.9, 1.8)
    return qrs, repolarisation(t_vector, 0.25 * t_vector, 0.0, duration, physiology.qtc + 0.03)
