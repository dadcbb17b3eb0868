"""The mistakes of ``studies.mistakes.mistakes`` in how recordings are divided and choices made, on simulated hospitals.

Each gives pairs of evaluated sets over the same patients: the right way and the mistaken one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pytorch_lightning as pl
from hydra.utils import instantiate
from numpy.typing import NDArray
from rich.progress import track

from benchmarks.strategies import Cases
from ecgfounder_ft.config.compose import compose_settings
from ecgfounder_ft.data.caps import select_max_samples
from ecgfounder_ft.data.catalog import build_table
from ecgfounder_ft.data.datamodule import ECGDataModule
from ecgfounder_ft.data.split_settings import EXCLUDED, TEST, TRAIN, VALIDATION
from ecgfounder_ft.data.splits import split_recordings
from ecgfounder_ft.ecg.leads import STANDARD_LEADS
from ecgfounder_ft.ecg.preprocessing import Preprocessing, resample
from ecgfounder_ft.ecg.recording import Recording
from ecgfounder_ft.ecg.simulator import record, sample_physiology
from ecgfounder_ft.ecg.simulator.population import draw_case
from ecgfounder_ft.evaluation.evaluate import evaluate
from ecgfounder_ft.evaluation.inputs import EvaluationInput
from ecgfounder_ft.evaluation.thresholds import choose_thresholds
from ecgfounder_ft.finetune.strategy import Strategy
from ecgfounder_ft.inference.finished_model import FinishedModel
from ecgfounder_ft.labels import UNKNOWN, LabelMap
from ecgfounder_ft.losses.loss import Loss
from ecgfounder_ft.task import MULTI_LABEL
from ecgfounder_ft.training.build import made, scheduler_of
from ecgfounder_ft.training.callbacks import FollowStrategy
from ecgfounder_ft.training.classifier import Classifier, Training
from ecgfounder_ft.training.device import quieten
from studies.paired_costs import Pair, columns_with_enough, judged

WRONG_LABELS = 0.1
"""Share of the patients of whom one label is wrong, in all of their recordings."""
THINNED_OUT = 6
"""Of so many patients with another condition than NORM, one is there."""
COPIED = 2
"""Of so many patients of test and validation, who have two recordings there, one stands in training too."""
COPY_RATE, COPY_STEP = 250.0, 0.005
"""Hz and mV of a copy."""
BATCH = 32
PROTOCOL = (
    "task=multi_label",
    "finetune=full",
    "optimizer=adamw",
    "optimizer.lr=1e-3",
    "scheduler=plateau",
    "monitor.name=validation/macro_auroc",
    "monitor.mode=max",
)
"""Of the trainings; whatever else there is to set is as ``configs/`` has it."""


@dataclass(frozen=True)
class Hospital:
    """Simulated recordings."""

    inputs: NDArray[np.float32]
    """(n, leads, samples), preprocessed."""
    states: NDArray[np.int8]
    """(n, conditions), some of them wrong."""
    patient: NDArray[np.int64]
    """(n,)."""
    visit: NDArray[np.int64]
    """(n,) 0 for a patient's first recording."""
    copies: NDArray[np.float32]
    """(m, leads, samples) some recordings, stored otherwise."""
    copied: NDArray[np.int64]
    """(m,) positions of those."""


def copy_of(recording: Recording) -> Recording:
    """The same recording at another rate, rounded to other steps: no hash of its samples finds it."""
    signal = resample(recording.signal.astype(np.float64), recording.sampling_rate, COPY_RATE)
    return Recording("copy", recording.leads, np.rint(signal / COPY_STEP) * COPY_STEP, COPY_RATE)


def simulate_hospital(
    visits: Sequence[int], codes: Sequence[str], preprocessing: Preprocessing, seed: int, *, thinned: bool = False
) -> Hospital:
    """Patients of the simulator's population.

    Args:
        visits: recordings of each patient.
        codes: the conditions.
        preprocessing: what is done to each recording.
        seed: of everything random.
        thinned: leave out most patients with another condition than NORM.
    """
    rng = np.random.default_rng([17, seed])
    inputs, states, patient, visit, copies, copied = [], [], [], [], [], []
    for number, count in enumerate(track(visits, f"simulating {sum(visits)} recordings", transient=True)):
        conditions, findings = draw_case(rng)
        while thinned and conditions - {"NORM"} and rng.integers(THINNED_OUT):
            conditions, findings = draw_case(rng)
        label = np.array([code in conditions for code in codes], dtype=np.int8)
        if rng.random() < WRONG_LABELS:
            wrong = rng.integers(len(codes))
            label[wrong] = 1 - label[wrong]
        physiology = sample_physiology(conditions, rng, findings)
        for turn in range(count):
            signal, _ = record(physiology, rng)
            recording = Recording("simulated", STANDARD_LEADS, signal, 500.0)
            inputs.append(preprocessing(recording).signal)
            if turn == 0 and number % COPIED == 0:
                copied.append(len(inputs) - 1)
                copies.append(preprocessing(copy_of(recording)).signal)
            states.append(label)
            patient.append(number)
            visit.append(turn)
    return Hospital(
        inputs=np.stack(inputs),
        states=np.stack(states),
        patient=np.array(patient),
        visit=np.array(visit),
        copies=np.stack(copies),
        copied=np.array(copied),
    )


@dataclass(frozen=True)
class Sides:
    """Positions in a hospital and its copies, copies behind the recordings."""

    test: NDArray[np.int64]
    validation: NDArray[np.int64]
    training: Mapping[str, NDArray[np.int64]]
    """``right``, ``split by recording`` and ``copies on two sides``: as many recordings each."""


def visits_of(patients: int) -> list[int]:
    """Two recordings of each patient; of those of test and validation, three sevenths, two more."""
    return [4] * (3 * patients // 7) + [2] * (patients - 3 * patients // 7)


def divide(hospital: Hospital, patients: int) -> Sides:
    """Two sevenths of the patients test, one validates, four train. The mistakes put others in the place of some."""
    tested, held = 2 * patients // 7, 3 * patients // 7
    first, later = hospital.visit < 2, hospital.visit >= 2
    own = np.flatnonzero(hospital.patient >= held)
    theirs = np.flatnonzero(later)
    test = np.flatnonzero(first & (hospital.patient < tested))
    validation = np.flatnonzero(first & (hospital.patient >= tested) & (hospital.patient < held))
    asked = np.concatenate([test, validation])
    copies = len(hospital.inputs) + np.flatnonzero(np.isin(hospital.copied, asked))
    training = {
        "right": own,
        "split by recording": np.concatenate([theirs, own[: len(own) - len(theirs)]]),
        "copies on two sides": np.concatenate([copies, own[: len(own) - len(copies)]]),
    }
    return Sides(test, validation, training)


class Answers(pl.Callback):
    """The probabilities for validation and test after each epoch.

    Args:
        model: that is trained.
        inputs: side to preprocessed recordings.
    """

    def __init__(self, model: FinishedModel, inputs: Mapping[str, NDArray[np.float32]]) -> None:
        self.model = model
        self.inputs = inputs
        self.epochs: dict[str, list[NDArray[np.float64]]] = {side: [] for side in inputs}

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The network does not train at this moment."""
        for side, signals in self.inputs.items():
            self.epochs[side].append(answers_of(self.model, signals))


def answers_of(model: FinishedModel, signals: NDArray[np.float32]) -> NDArray[np.float64]:
    """Probabilities (n, conditions) for any number of preprocessed recordings."""
    parts = [model.uncalibrated(signals[begin : begin + BATCH]) for begin in range(0, len(signals), BATCH)]
    return np.concatenate(parts)


def fine_tune(
    start: FinishedModel, cases: Cases, split: Sequence[str], epochs: int, seed: int
) -> dict[str, list[NDArray[np.float64]]]:
    """Probabilities for validation and test after each epoch of a fine-tuning by the protocol."""
    told = compose_settings(PROTOCOL)
    pl.seed_everything(seed, verbose=False)
    net = start.record.build_network()
    net.load_state_dict(start.net.state_dict())
    training = Training(
        loss=made(told.loss, Loss),  # type: ignore[type-abstract]
        optimizer=cast(Any, instantiate(told.optimizer, _partial_=True, _convert_="all")),
        scheduler=scheduler_of(told.scheduler),
        monitor=told.monitor.name,
    )
    strategy = made(told.strategy, Strategy)  # type: ignore[type-abstract]
    strategy.prepare(net)
    sides = np.asarray(split)
    answers = Answers(
        FinishedModel(net, start.record), {side: cases.signals[sides == side] for side in (VALIDATION, TEST)}
    )
    data = ECGDataModule(
        cases,  # type: ignore[arg-type]
        split,
        cases.targets,
        start.record.label_map.codes,
        MULTI_LABEL,
        batch_size=BATCH,
        seed=seed,
    )
    trainer = pl.Trainer(
        max_epochs=epochs,
        accelerator=told.trainer.accelerator,
        devices=1,
        callbacks=[FollowStrategy(strategy, told.monitor.name, told.monitor.mode), answers],
        logger=False,
        enable_checkpointing=False,
        gradient_clip_val=told.trainer.node["gradient_clip_val"],
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )
    trainer.fit(Classifier(start.record, net, training), datamodule=data)
    return answers.epochs


def trained_mistakes(start: FinishedModel, patients: int, epochs: int, seeds: int) -> dict[str, Pair]:
    """Split by recording, copies on two sides, and the epoch chosen on test."""
    quieten()
    codes = start.record.label_map.codes
    hospital = simulate_hospital(visits_of(patients), codes, start.record.preprocessing, 0)
    sides = divide(hospital, patients)
    cases = Cases(
        np.concatenate([hospital.inputs, hospital.copies]),
        np.concatenate([hospital.states, hospital.states[hospital.copied]]),
    )
    patients_tested, tested = hospital.patient[sides.test], hospital.states[sides.test]
    columns = columns_with_enough(tested, patients_tested)
    chosen: dict[str, dict[int, EvaluationInput]] = {name: {} for name in (*sides.training, "epoch chosen on test")}
    for seed in range(seeds):
        for name, training in sides.training.items():
            split = np.full(len(cases), EXCLUDED, dtype=object)
            for side, positions in ((TRAIN, training), (VALIDATION, sides.validation), (TEST, sides.test)):
                split[positions] = side
            found = fine_tune(start, cases, split.tolist(), epochs, seed)
            print(f"seed {seed}, {name}: {epochs} epochs on {len(training)} recordings", flush=True)
            by_validation = best_epoch(found[VALIDATION], hospital.states[sides.validation], codes)
            by_test = best_epoch(found[TEST], tested, codes)
            for label, epoch in ((name, by_validation), ("epoch chosen on test", by_test)):
                if label == name or name == "right":
                    chosen[label][seed] = judged(tested, found[TEST][epoch], patients_tested, codes, columns)
    right = chosen.pop("right")
    return {name: Pair(right, wrong) for name, wrong in chosen.items()}


def best_epoch(answers: Sequence[NDArray[np.float64]], states: NDArray[np.int8], codes: Sequence[str]) -> int:
    """The first epoch of the highest macro AUROC."""
    patients = np.arange(len(states))
    found = [
        evaluate(states, one, patients, codes, task=MULTI_LABEL, resamples=0).macro["auroc"].value for one in answers
    ]
    return int(np.argmax([-1.0 if value is None else value for value in found]))


def cap_before_split(model: FinishedModel, patients: int, cap: int) -> dict[str, Pair]:
    """A cap of recordings per condition, set before they are divided."""
    label_map: LabelMap = model.record.label_map
    codes = label_map.codes
    hospital = simulate_hospital([1] * patients, codes, model.record.preprocessing, 1, thinned=True)
    answers = answers_of(model, hospital.inputs)
    names = [f"simulated/{number:05d}" for number in range(patients)]
    known = {"dataset": "simulated", "sampling_rate": 500.0, "samples": 5000}
    rows = [
        {"recording": name, "path": name, "patient": name, **known, **dict(zip(codes, states, strict=True))}
        for name, states in zip(names, hospital.states.tolist(), strict=True)
    ]
    table = build_table(rows, label_map)
    shares = ["split.train=0.3333333333", "split.validation=0.0", "split.test=0.6666666667"]
    # by hash, so that a patient who is left is on the same side
    settings = compose_settings(["split.assignment=hash", *shares]).split
    kept = {"right": table, "wrong": select_max_samples(table, label_map, cap, 0)}
    judge, thresholds = {}, {}
    for way, rows_kept in kept.items():
        sides = split_recordings(rows_kept, rows_kept["recording"], settings, 0, codes)["split"]
        choose, judge[way] = (rows_kept.index[sides == side].to_numpy() for side in (TRAIN, TEST))
        thresholds[way] = choose_thresholds(hospital.states[choose], answers[choose], codes, method="f1").values
    test = judge["right"]
    states = {
        way: np.where(np.isin(test, rows)[:, None], hospital.states[test], UNKNOWN) for way, rows in judge.items()
    }
    columns = columns_with_enough(states["wrong"], test)
    right, wrong = (judged(states[way], answers[test], test, codes, columns, thresholds[way]) for way in kept)
    return {"cap before the split": Pair({0: right}, {0: wrong})}
