"""Slips in a configuration, told in one line: what is wrong, what was most likely meant, what to do.

Hydra and OmegaConf say where they stopped, in the names of this package's schemas; here that becomes the key, choice or
value that the user wrote.
"""

import difflib
import re
import shlex
from collections.abc import Callable, Collection, Mapping, Sequence

import yaml

EARLIER_OPTIONS: Mapping[str, str] = {
    "model_type": "model",
    "batch_size": "data.batch_size",
    "epochs": "trainer.max_epochs",
    "lr": "optimizer.lr",
    "weight_decay": "optimizer.weight_decay",
    "max_samples": "data.max_samples",
    "linear_prob": "finetune",
    "mimic_path": "data.mimic_path",
    "physionet_path": "data.physionet_path",
}
"""Options of the earlier tool to what they are called now."""

PRINT_ALL = "`ecgfounder-ft train --cfg job` prints every value, `ecgfounder-ft train --help` every choice"

_EXPECTED = (
    ("could not be converted to Float", "a number"),
    ("could not be converted to Integer", "a whole number"),
    ("is not a valid bool", "true or false"),
    ("could not be converted to Bool", "true or false"),
    ("is not Optional", "a value, not null"),
    ("is not a ListConfig", "a list, as [a,b]"),
    ("is not a DictConfig", "a mapping, as {a: 1}"),
    ("Unsupported value type", "a plain value"),
    ("does not support deletion", "a value: this one cannot be taken away"),
    ("Cannot convert", "another kind of value"),
    ("Invalid value assigned", "another kind of value"),
)
"""What OmegaConf says of a value that it refuses, to what was expected."""


def now_called(option: str, value: str) -> str:
    """How an option of the earlier tool is typed today."""
    name = EARLIER_OPTIONS[option]
    if option == "linear_prob":
        return "finetune=full" if value.casefold() in ("false", "0", "no") else "finetune=linear_probe"
    return f"{name}={value}"


def suggestion(wanted: str, known: Collection[str]) -> str:
    """`` Did you mean ...?`` where one of the known names is near, or ends in what was typed; else empty."""
    last = wanted.rpartition(".")[2]
    if last in EARLIER_OPTIONS and EARLIER_OPTIONS[last] in known:
        return f" Did you mean {EARLIER_OPTIONS[last]}?"
    same_end = [key for key in known if key.rpartition(".")[2].casefold() == last.casefold()]
    near = difflib.get_close_matches(wanted, list(known), n=1, cutoff=0.7)
    if not near and len(same_end) == 1:
        near = same_end
    if not near:
        ends = {key.rpartition(".")[2]: key for key in known}
        near = [ends[end] for end in difflib.get_close_matches(last, list(ends), n=1, cutoff=0.75)]
    return f" Did you mean {near[0]}?" if near else ""


def explain(
    error: Exception,
    overrides: Sequence[str],
    choices: Callable[[], Mapping[str, Sequence[str]]],
    keys: Callable[[], Collection[str]],
    choices_with: Callable[[str], Sequence[str]],
) -> str:
    """What Hydra or OmegaConf refuses, in the user's words.

    Args:
        error: theirs.
        overrides: as typed.
        choices: group to the names of its files.
        keys: every dotted key that there is.
        choices_with: choices, as typed, under which a dotted key would be there.
    """
    from hydra.errors import MissingConfigException, OverrideParseException

    if isinstance(error, MissingConfigException) and error.missing_cfg_file is not None:
        there = [one for one in error.options or () if not one.endswith("_schema")]
        return _explain_choice(str(error.missing_cfg_file), str(error), overrides, choices(), there)
    if isinstance(error, OverrideParseException):
        return _explain_grammar(overrides)
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return (
            f"{mark.name}, line {mark.line + 1}: {error.problem or 'no YAML'}; expected keys and values as key: value"
        )
    text = f"{error}\n{error.__cause__ or ''}"
    typed = _typed_in(text, overrides)
    file = re.match(r"In '([^']+)':", text)
    where = typed or (f"{file[1]}.yaml" if file and not file[1].endswith("_schema") else "")
    full = re.search(r"full_key: (\S+)", text)
    key = full[1] if full else typed.lstrip("+~").partition("=")[0]
    if "Ambiguous value for argument" in text:
        return f"{typed or key}: several values: type -m before them for a sweep, or [...] around them for a list"
    if "Merge error" in text or "Multiple values for" in text:
        given = re.search(r"Multiple values for ([\w/]+)", text)
        name = typed or where
        if given or not name:
            group = given[1] if given else ""
            name = next((one for one in overrides if "[" in one or one.lstrip("+").startswith(f"{group}=")), "it")
        return (
            f"{name}: each group has one choice, typed as group=choice without a +; a sweep over several is "
            "-m group=one,other"
        )
    missing = re.search(r"Key '([^']+)' (?:not in|is not in struct)", text)
    if missing or "does not exist" in text or "Could not append" in text:
        under = choices_with(key)
        if under:
            return _join(where, f"only {' or '.join(under)} has a value {key}")
        return _join(where, f"there is no value {key}.{_advice(key, choices(), keys())}")
    for said, expected in _EXPECTED:
        if said in text:
            value = re.search(r"Value '(.*?)' of type", text)
            found = "" if value is None else f" is {value[1]!r}"
            return f"{typed}: expected {expected}" if typed else _join(where, f"{key}{found}, expected {expected}")
    return _join(where, plain_words(text))


def plain_words(text: str) -> str:
    """The first line of a message of Hydra or OmegaConf that says something, without names of schemas."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = next((line for line in lines if "raised while composing" not in line), "it cannot be composed")
    said = re.sub(r"^\w+ raised while resolving interpolation: ", "", said)
    said = re.sub(r"\b\w+_schema\b", "a schema", said)
    return re.sub(r" (?:not )?in '\w+'|'\w+' \(DictConfig\) ", lambda found: found[0].split("'")[0].strip(), said)


def _join(where: str, said: str) -> str:
    return f"{where}: {said}" if where else said


def _advice(key: str, choices: Mapping[str, Sequence[str]], keys: Collection[str]) -> str:
    meant = suggestion(key, [*keys, *(group.replace("/", ".") for group in choices)])
    return meant or f" {PRINT_ALL}"


def _typed_in(text: str, overrides: Sequence[str]) -> str:
    """The override that a message is about, as typed; empty where it is about a file."""
    for said in re.findall(
        r"(?:Could not override|Could not delete from config\.|override|argument) '?([^'\n]+)", text
    ):
        key = said.strip().rstrip(".").partition("=")[0].lstrip("+~")
        for override in overrides:
            if override.lstrip("+~").partition("=")[0].partition("@")[0] == key:
                return override
    full = re.search(r"full_key: (\S+)", text)
    if full and not text.startswith("In '"):
        for override in overrides:
            name = override.lstrip("+~").partition("=")[0]
            if name == full[1] or name.startswith(f"{full[1]}."):
                return override
    return ""


def _explain_choice(
    missing: str, text: str, overrides: Sequence[str], choices: Mapping[str, Sequence[str]], options: Sequence[str]
) -> str:
    group, _, name = missing.rpartition("/")
    typed = next((one for one in overrides if one.lstrip("+").partition("=")[2] in (name, missing)), "")
    there = [one.rstrip("*") for one in choices.get(group, ())] or list(options)
    if not group:
        return f"--config-name {name}: no such file among the configurations; train is that of the package"
    file = re.match(r"In '([^']+)':", text)
    where = typed or (f"{file[1]}.yaml: {missing}" if file else missing)
    if not there:
        return f"{where}: there is no group {group or name} of configurations.{suggestion(group or name, choices)}"
    return f"{where}: no such file of {group}.{suggestion(name, there)} There are {', '.join(there)}"


def _explain_grammar(overrides: Sequence[str]) -> str:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    parser = OverridesParser.create()
    for override in overrides:
        try:
            parser.parse_override(override)
        except HydraException:
            if "=" not in override and not override.startswith("~"):
                return f"{override}: expected group=choice or key=value"
            key, _, value = override.partition("=")
            value = value.replace("\\", "\\\\").replace('"', '\\"')
            pasted = f'{key}="{value}"'
            return (
                f"{override}: cannot be read. A value with brackets, commas, quotes, = or # stands in quotes of its "
                f"own within those of the shell: {shlex.quote(pasted)}"
            )
    return f"{' '.join(overrides)}: cannot be read; expected group=choice or key=value"
