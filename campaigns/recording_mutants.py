"""Small WFDB recordings in every storage form, and damage done to them, for ``campaigns/fuzz_readers.py``."""

import random
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import wfdb
from scipy.io import savemat

from ecgfounder_ft.ecg.formats.wfdb import write_recording

LEADS = ("I", "II", "V1")
SAMPLES = 600
MOST_BYTES = 500_000
"""Of a recording from a folder of the user's: mutants of a larger one would take the time of many."""

_NUMBERS = (
    *("0", "-1", "1", "2", "24", "16", "212", "0.5", "1e-3", "1e-300", "1e300", "1e999", "-32768", "65536", "1e-9"),
    *("9" * 19, "9" * 5000, "١٢", "0x10", "1_000", "nan", "inf", "", "1.5.2", "+", "-", "e", "500/500(0)", "0.0"),
)
_WORDS = (
    *("16x0", "16x2", "16:5", "16+24", "16+99999999", "16x1:99999999", "212", "80", "508", "16x1+24", "310", "999"),
    *("../x.dat", "/etc/passwd", "~", ".", "x.dat", "a b 16 1", "n" * 300, "n" * 16000, "\0", "\x85", "é", "#", "I"),
    *("1000.0(0)/mV", "1000(5)/uV", "200(-3)/V", "1/mmHg", "0(0)/mV", "-200/mV", "1000/", "(0)/mV", "1e-3(0)/mV"),
)
_OTHER_FILES = (
    b"<html><head><title>404</title></head></html>" * 200,
    b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 6\n",
    b"MATLAB 5.0 MAT-file" + b" " * 105 + b"\x00\x01IM" + b"\x0f\x00\x00\x00\xff\xff\xff\x7f" + b"x" * 500,
    b"MATLAB 7.3 MAT-file, written by nobody" + b"\0" * 600,
    b"",
)


@dataclass(frozen=True)
class Mutant:
    """A recording with damage."""

    header: Path
    what: str
    """What was done to it, in words."""
    only_samples: bool
    """Whether the header, whose initial values and checksums describe the samples, is as it was."""


def write_originals(folder: Path, rng: np.random.Generator) -> list[Path]:
    """Recordings of three leads and 1.2 s, one per storage form; their headers."""
    folder.mkdir(parents=True, exist_ok=True)
    millivolts = np.cumsum(rng.normal(scale=0.02, size=(len(LEADS), SAMPLES)), axis=1)
    made = [
        write_recording(folder, "dat", millivolts, LEADS, 500, storage="dat", comments={"Age": "61", "Sex": "Male"}),
        write_recording(folder, "mat", millivolts, LEADS, 500, storage="mat", comments={"Dx": "426783006"}),
    ]
    for compressed in (False, True):
        name = "packed" if compressed else "five"
        header = write_recording(folder, name, millivolts, LEADS, 500, storage="mat")
        digital = np.round(millivolts * 1000).astype(np.int16)
        savemat(folder / f"{name}.mat", {"val": digital}, do_compression=compressed)
        made.append(header)
    made += [_through_wfdb(folder, f"form{form}", millivolts, form) for form in ("16", "24", "32", "80", "516")]
    made.append(_format_212(folder, millivolts))
    made.append(_in_two_files(write_recording(folder, "two", millivolts, LEADS, 500, storage="dat")))
    bare = write_recording(folder, "bare", millivolts, LEADS, 500, storage="dat")
    text = re.sub(r"16 0 -?\d+ -?\d+ 0 (\w+)", r"16 0    \1", bare.read_text(encoding="utf-8"))
    bare.write_text(text, encoding="utf-8")
    return [*made, bare]


def _through_wfdb(folder: Path, name: str, millivolts: np.ndarray, form: str) -> Path:
    gain = 50.0 if form == "80" else 1000.0
    most = 120 if form == "80" else 30_000
    wfdb.wrsamp(
        name,
        fs=500,
        units=["mV"] * len(LEADS),
        sig_name=list(LEADS),
        d_signal=np.clip(np.round(millivolts.T * gain), -most, most).astype(np.int64),
        fmt=[form] * len(LEADS),
        adc_gain=[gain] * len(LEADS),
        baseline=[0] * len(LEADS),
        write_dir=str(folder),
    )
    return folder / f"{name}.hea"


def _format_212(folder: Path, millivolts: np.ndarray) -> Path:
    """Two samples of 12 bits in three bytes, as MIT-BIH's; wfdb reads this form and does not write it."""
    header = write_recording(folder, "form212", millivolts, LEADS, 500, storage="dat", gain=200)
    samples = np.fromfile(header.with_suffix(".dat"), "<i2").astype(np.int32)
    low, high = samples[0::2] & 0xFFF, samples[1::2] & 0xFFF
    packed = np.stack([low & 0xFF, (low >> 8) | ((high >> 8) << 4), high & 0xFF], axis=1)
    header.with_suffix(".dat").write_bytes(packed.astype(np.uint8).tobytes())
    text = header.read_text(encoding="utf-8").replace(".dat 16 ", ".dat 212 ")
    header.write_text(text, encoding="utf-8")
    return header


def _in_two_files(header: Path) -> Path:
    """The last lead moved into a file of its own."""
    samples = np.fromfile(header.with_suffix(".dat"), "<i2").reshape(-1, len(LEADS))
    header.with_suffix(".xyz").write_bytes(samples[:, 2].tobytes())
    header.with_suffix(".dat").write_bytes(samples[:, :2].tobytes())
    lines = header.read_text(encoding="utf-8").splitlines()
    lines[len(LEADS)] = lines[len(LEADS)].replace(".dat", ".xyz", 1)
    header.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return header


def mutant(originals: list[Path], folder: Path, random_source: random.Random) -> Mutant:
    """One of the originals, copied into an empty folder and damaged in one to three ways."""
    original = random_source.choice(originals)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file in original.parent.glob(f"{original.stem}.*"):
        shutil.copy(file, folder / file.name)
    header = folder / original.name
    done = []
    in_header = random_source.random() < 0.7
    for _ in range(random_source.choice((1, 1, 2, 3))):
        damage = random_source.choice(_TO_HEADERS if in_header else _TO_SAMPLES)
        target = header
        if not in_header:
            others = sorted(file for file in folder.iterdir() if file != header)
            if not others:
                break
            target = random_source.choice(others)
        content = damage(target.read_bytes(), random_source)
        target.write_bytes(content)
        done.append(damage.__name__.strip("_").replace("_", " "))
    return Mutant(header, f"{original.stem}: {', then '.join(done)}", only_samples=not in_header)


# --- Damage: bytes and a source of chance in, bytes out -------------------------------------------------------------


def _change_a_word(content: bytes, source: random.Random) -> bytes:
    spans = [match.span() for match in re.finditer(rb"\S+", content)]
    if not spans:
        return content
    start, end = source.choice(spans)
    return content[:start] + source.choice(_NUMBERS + _WORDS).encode() + content[end:]


def _change_a_number(content: bytes, source: random.Random) -> bytes:
    spans = [match.span() for match in re.finditer(rb"[\d.]+", content)]
    if not spans:
        return content
    start, end = source.choice(spans)
    return content[:start] + source.choice(_NUMBERS).encode() + content[end:]


def _remove_a_word(content: bytes, source: random.Random) -> bytes:
    spans = [match.span() for match in re.finditer(rb"\S+\s?", content)]
    if not spans:
        return content
    start, end = source.choice(spans)
    return content[:start] + content[end:]


def _insert_a_word(content: bytes, source: random.Random) -> bytes:
    place = source.choice([match.start() for match in re.finditer(rb"\s|$", content)])
    return content[:place] + b" " + source.choice(_NUMBERS + _WORDS).encode() + content[place:]


def _move_lines(content: bytes, source: random.Random) -> bytes:
    lines = content.split(b"\n")
    how = source.randrange(3)
    number = source.randrange(len(lines))
    if how == 0:
        lines.insert(source.randrange(len(lines)), lines[number])
    elif how == 1:
        del lines[number]
    else:
        source.shuffle(lines)
    return b"\n".join(lines)


def _stretch_a_line(content: bytes, source: random.Random) -> bytes:
    place = source.choice([match.start() for match in re.finditer(rb"\s|$", content)])
    return (
        content[:place]
        + source.choice((b" 1", b"1", b" a", b"\t", b" 16")) * source.choice((300, 16_000))
        + (content[place:])
    )


def _change_bytes(content: bytes, source: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(source.choice((1, 1, 4, 64))):
        if changed:
            changed[source.randrange(len(changed))] = source.randrange(256)
    return bytes(changed)


def _zero_a_block(content: bytes, source: random.Random) -> bytes:
    start = source.randrange(len(content) + 1)
    end = min(len(content), start + source.choice((1, 100, 4000)))
    return content[:start] + bytes(end - start) + content[end:]


def _cut_short(content: bytes, source: random.Random) -> bytes:
    return content[: source.randrange(len(content) + 1)]


def _lengthen(content: bytes, source: random.Random) -> bytes:
    return content + source.randbytes(source.choice((1, 2, 24, 5000)))


def _remove_a_piece(content: bytes, source: random.Random) -> bytes:
    start = source.randrange(len(content) + 1)
    return content[:start] + content[start + source.choice((1, 2, 6, 24, 500)) :]


def _put_another_file_there(content: bytes, source: random.Random) -> bytes:
    other = source.choice(_OTHER_FILES)
    return (other * (len(content) // max(len(other), 1) + 1))[: max(len(content), len(other))] if other else other


Damage = Callable[[bytes, random.Random], bytes]

_TO_HEADERS: tuple[Damage, ...] = (
    *(_change_a_word, _change_a_number, _change_a_number, _remove_a_word, _insert_a_word, _move_lines),
    *(_stretch_a_line, _change_bytes, _zero_a_block, _cut_short, _put_another_file_there),
)
_TO_SAMPLES: tuple[Damage, ...] = (
    *(_change_bytes, _zero_a_block, _cut_short, _lengthen, _remove_a_piece, _put_another_file_there),
)
