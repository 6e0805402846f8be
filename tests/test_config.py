"""params.yaml as a whole: all problems in one message, and only active settings get through."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import yaml
from project import ROOT, TINY

from nonmember import config
from nonmember.architectures import architectures
from nonmember.attacks import attacks
from nonmember.compute import ComputeOptions
from nonmember.data.splits import SplitOptions
from nonmember.datasets import datasets
from nonmember.defenses import defenses
from nonmember.params import MetricOptions, ParamsError, RecordOptions, ShadowOptions, read_yaml
from nonmember.settings import Settings
from nonmember.task import TrainOptions

GOOD: dict[str, Any] = {
    **TINY,
    "attacks": {"names": ["loss", "grad_x_l2"]},
    "records": {"publish": False},
}
SECTIONS: dict[str, Any] = {
    "dataset": datasets,
    "model": architectures,
    "defense": defenses,
    "attacks": attacks,
}
Make = Callable[..., dict[str, Any]]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """make(**{"section.key": value}) -> the content for a params.yaml with these changes.

    `section=value` replaces a section, None leaves it out.
    """

    def run(**changes: Any) -> dict[str, Any]:
        values = copy.deepcopy(GOOD)
        for place, value in changes.items():
            section, _, key = place.partition(".")
            if key:
                values[section][key] = value
            elif value is None:
                del values[section]
            else:
                values[section] = value
        path = tmp_path / "params.yaml"
        path.write_text(yaml.safe_dump(values))
        return config.make(path)

    return run


def problems(make: Make, **changes: Any) -> list[str]:
    with pytest.raises(ParamsError) as error:
        make(**changes)
    return error.value.problems


def test_good_content(make: Make) -> None:
    content = make()
    assert set(content) == {
        "dataset", "split", "undefended", "defended", "stamp_undefended", "stamp_defended",
        "shadows", "signals", "attacks",
    }  # fmt: skip
    assert content["dataset"] == {"name": "digits", "path": "data/raw", "accept": []}
    assert content["defended"]["defense"]["alpha_rce"] == 0.5
    assert "relax_alpha" not in content["defended"]["defense"]
    assert content["undefended"] == {**content["defended"], "defense": {"name": "none"}}
    assert list(content["attacks"]["attacks"]) == ["loss", "grad_x_l2"]
    assert {"logits", "grad_x_l2"} <= set(content["signals"]["names"])
    assert (content["signals"]["queries"], content["signals"]["seed"]) == ({}, 0)
    assert "compute" not in str(content)
    assert "publish" not in str(content)


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("trian", {}, "trian: unknown key (did you mean train?)"),
        ("seed", -1, "seed: must be a whole number from 0 to 2^31 - 1, found -1"),
        ("seed", True, "seed: must be a whole number from 0 to 2^31 - 1, found true"),
        ("seed", 1.0, "seed: must be a whole number from 0 to 2^31 - 1, found 1.0"),
        ("train.epoch", 3, "train.epoch: unknown key (did you mean epochs?)"),
        ("train.epochs", 0, "train.epochs: must be at least 1, found 0"),
        ("train.epochs", 6.0, "train.epochs: must be a whole number, found 6.0"),
        ("train.lr", "one", "train.lr: must be a number or a mapping, found 'one'"),
        ("train.lr", {0: 0.1, 3: "x"}, "train.lr.3: must be a number, found 'x'"),
        (
            "train.lr",
            {5: 0.1},
            "train.lr: must be a number > 0, or a mapping epoch: rate that starts at 0, "
            "found {5: 0.1}",
        ),
        ("train.lr", -0.1, "train.lr: must be a number > 0, or a mapping epoch: rate that starts"
         " at 0, found -0.1"),
        ("train.weight_decay", float("nan"), "train.weight_decay: must be a finite number, "
         "found nan"),
        ("train.weight_decay", float("inf"), "train.weight_decay: must be a finite number, "
         "found inf"),
        ("train.precision", "fp16", "train.precision: must be 'fp32' or 'bf16', found 'fp16'"),
        ("defense.alpha_rcee", 1, "defense.alpha_rcee: unknown key (did you mean alpha_rce?)"),
        ("defense.alpha_rce", True, "defense.alpha_rce: must be a number, found true"),
        ("defense.relax_variant", "x", "defense.relax_variant: must be 'image' or 'table', "
         "found 'x'"),
        ("model.widths", [0, "a"], "model.widths.0: must be at least 1, found 0"),
        ("compute.workers", 0, "compute.workers: must be 'auto' or at least 1, found 0"),
        ("dataset.accept", "copies", "dataset.accept: must be a list, found 'copies'"),
        ("dataset.path", 5, "dataset.path: must be text, found 5"),
        ("shadows", 3, "shadows: must be a mapping, found 3"),
        ("model", ["mlp"], "model: must be a mapping with name, found ['mlp']"),
        ("attacks.names", ["loss", "loss"], "attacks.names: 'loss' is there twice"),
        ("split.size", 1, "split.size: must be at least 2, found 1"),
        ("split.inference_share", 0.5, "split.inference_share: must be 0 with scheme past, which "
         "has a reference set of its own, found 0.5"),
        ("train", {"nesterov": True, "momentum": 0}, "train.nesterov: needs train.momentum > 0"),
    ],
)  # fmt: skip
def test_one_line_for_one_problem(make: Make, key: str, value: Any, line: str) -> None:
    assert problems(make, **{key: value})[0] == line


@pytest.mark.parametrize(("section", "registry"), SECTIONS.items())
def test_an_unknown_name_lists_the_known_ones(make: Make, section: str, registry: Any) -> None:
    key = "names" if section == "attacks" else "name"
    value: Any = ["nope"] if section == "attacks" else "nope"
    [line] = problems(make, **{f"{section}.{key}": value})
    assert line.startswith(f"{section}.{key}: unknown {registry.kind} 'nope', known: ")
    assert line.endswith(", ".join(registry.names()))


@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_that_must_be_there(make: Make, section: str) -> None:
    [line] = problems(make, **{section: None})
    assert line.startswith(f"{section}: missing; it needs name")
    assert SECTIONS[section].names()[0] in line


@pytest.mark.parametrize("section", [
    "seed", "compute", "split", "train", "shadows", "metrics", "records",
])  # fmt: skip
def test_a_section_that_may_be_missing(make: Make, section: str) -> None:
    make(**{section: None})


@pytest.mark.parametrize("names", [[], "loss", None, {"loss": 1}])
def test_attack_names_must_be_a_list(make: Make, names: Any) -> None:
    [line] = problems(make, **{"attacks.names": names})
    assert line.startswith("attacks.names: must be a list of some of augmentation, boundary_noise")


def test_odd_attack_names_do_not_crash(make: Make) -> None:
    lines = problems(make, **{"attacks.names": ["loss", ["loss"], 5, None]})
    assert [line.partition(", known")[0] for line in lines] == [
        "attacks.names: unknown attack ['loss']",
        "attacks.names: unknown attack 5",
        "attacks.names: unknown attack null",
    ]


def test_crl_thresholds_give_their_interval(make: Make) -> None:
    """10 classes, tau 1 -> the loss cannot go under 1.42; tau .5 -> .74."""
    assert problems(make, **{"defense.tau_rce": 1.0}) == [
        "defense.alpha_rce: must be between 1.42 (the least loss that tau_rce 1.0 allows) and "
        "log(10) = 2.3, found 0.5"
    ]
    [line] = problems(make, **{"defense.tau_rce": 0.5})
    assert "between 0.739 " in line
    [line] = problems(make, **{"defense.alpha_rce": 2.31})
    assert "log(10) = 2.3, found 2.31" in line
    [line] = problems(make, **{"defense.alpha_rcl": 100, "defense.tau_rcl": 0.5})
    assert line.startswith("defense.alpha_rcl: must be between 0 and 8 ")
    make(**{"defense.alpha_rce": 2.3})


def test_a_split_larger_than_the_data(make: Make) -> None:
    assert problems(make, **{"split.size": 300}) == [
        "split.size: scheme past needs 6 sets of 300, 1800 samples, the data has 1797; set it to "
        "299 or less"
    ]
    make(**{"split.size": 299})


def test_images_only(make: Make) -> None:
    table = {"name": "shoppers", "n": 1200, "path": "data/raw"}
    assert problems(make, dataset=table, **{"train.augment": "crop_flip"}) == [
        "train.augment: crop_flip needs images, the data are tables of zeros and ones; use none"
    ]
    [line] = problems(make, dataset=table, model={"name": "resnet20"})
    assert "resnet20 needs images" in line
    [line] = problems(make, model={"name": "vgg11_bn"})
    assert "vgg11_bn needs images of at least 32×32 pixels" in line


def test_a_data_set_that_is_not_there(make: Make, tmp_path: Path) -> None:
    missing = str(tmp_path / "no.csv")
    [line] = problems(make, dataset={"name": "csv", "path": missing})
    assert line.startswith(f"dataset.path: {missing} does not exist")


def test_a_home_folder_is_written_out(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """DVC takes ~ for a folder of that name."""
    monkeypatch.setenv("HOME", "/home/me")
    [line] = problems(make, dataset={"name": "csv", "path": "~/t.csv"})
    assert line == "dataset.path: DVC knows no ~, write /home/me/t.csv, found ~/t.csv"


def test_a_queued_run_says_which_files_it_sees(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_of_run = tmp_path / ".dvc" / "tmp" / "exps" / "a1"
    copy_of_run.mkdir(parents=True)
    monkeypatch.chdir(copy_of_run)
    [line] = problems(make, dataset={"name": "csv", "path": "mine/t.csv"})
    assert line.endswith(config.QUEUED)
    monkeypatch.chdir(tmp_path)
    [line] = problems(make, dataset={"name": "csv", "path": "mine/t.csv"})
    assert config.QUEUED not in line


def test_what_is_accepted_reaches_the_data_and_the_audit_but_no_training(make: Make) -> None:
    plain, known = make(), make(**{"dataset.accept": ["near_copies", "row_numbers"]})
    assert {name for name in plain if plain[name] != known[name]} == {"dataset", "attacks"}
    [line] = problems(make, **{"dataset.accept": ["near_copy"]})
    assert line.startswith("dataset.accept: no finding is called near_copy, known: blank_images, ")


def test_problems_of_the_content_of_a_data_set(make: Make, tmp_path: Path) -> None:
    """Found while the sizes are read, after `check` saw nothing."""
    path = tmp_path / "x.npz"
    inputs = np.zeros((40, 3))
    inputs[7, 1] = np.nan
    np.savez(path, x=inputs, y=np.arange(40) % 2)
    [line] = problems(make, dataset={"name": "npz", "path": str(path)})
    assert "row 7" in line


@pytest.mark.parametrize("name", [n for n, cls in defenses if cls.needs_inference])
def test_a_defense_without_the_inference_set_it_needs(make: Make, name: str) -> None:
    changes = {"defense": {"name": name}, "split": {"scheme": "crl", "size": 200}}
    [line] = problems(make, **changes)
    assert line.startswith(f"defense.name: {name} needs a reference set; set split.scheme")
    make(**changes | {"split": {"scheme": "crl", "size": 200, "inference_share": 0.25}})


@pytest.mark.parametrize("name", [n for n, cls in attacks if cls.min_shadows > 1])
def test_an_attack_without_the_shadows_it_needs(make: Make, name: str) -> None:
    least = attacks.get(name).min_shadows
    changes = {"attacks.names": [name], "shadows.count": least - 1}
    assert problems(make, **changes) == [
        f"shadows.count: attack {name} needs at least {least}, found {least - 1}"
    ]
    make(**changes | {"shadows.count": least})


def test_all_problems_in_one_message(make: Make, tmp_path: Path) -> None:
    with pytest.raises(ParamsError) as error:
        make(
            **{
                "sede": 1, "seed": "zero", "train.lr": "x", "train.epochs": 0,
                "compute.workers": 0, "defense.alpha_rce": 9, "defense.zzz": 1,
                "split.size": 5000, "model": {"name": "vgg11_bn"}, "attacks.names": ["mia"],
            }
        )  # fmt: skip
    text = str(error.value)
    assert text.startswith("params.yaml has 10 problems:\n  sede: unknown key (did you mean seed?)")
    keys = [line.strip().partition(":")[0] for line in text.splitlines()[1:]]
    assert sorted(keys) == sorted([
        "sede", "seed", "train.lr", "train.epochs", "compute.workers", "defense.alpha_rce",
        "defense.zzz", "split.size", "model.name", "attacks.names",
    ])  # fmt: skip
    for odd in ("Value error", "Input should", "pydantic", "union", "None", "dict["):
        assert odd not in text


def test_inactive_keys_and_compute_change_nothing(make: Make) -> None:
    before = make()
    assert make(**{"defense.relax_alpha": 0.7}) == before
    assert make(**{"attacks.nn_epochs": 3}) == before
    assert make(**{"dataset.n": 5000}) == before
    assert make(**{"compute.workers": 7}) == before
    assert make(records={"publish": True}) == before
    assert make(**{"defense.alpha_rce": 0.6}) != before


def test_a_level_left_to_the_rule_is_written_as_a_number(make: Make) -> None:
    """The store knows models by data/config/defended.json: 0.1 · log 10."""
    for name in ("crl", "past"):
        written = make(defense={"name": name, "past_base": "crl"})["defended"]["defense"]
        crl = written if name == "crl" else written["past_base"]
        assert (crl["name"], crl["alpha_rce"]) == ("crl", 0.23)
        number = make(defense={"name": name, "past_base": "crl", "alpha_rce": 0.23})
        assert number["defended"]["defense"] == written


def test_inactive_keys_are_checked_too(make: Make) -> None:
    assert problems(make, **{"defense.relax_alpha": -1}) == [
        "defense.relax_alpha: must be at least 0, found -1"
    ]


def test_each_file_changes_with_its_own_settings_only(make: Make) -> None:
    before = make()
    stamps = {"stamp_undefended", "stamp_defended"}
    cases = {
        "seed": (1, {"split", "undefended", "defended", "signals", "attacks", *stamps}),
        "split.stratified": (False, {"split", *stamps}),
        "train.epochs": (7, {"undefended", "defended", *stamps}),
        "model.widths": ([16], {"undefended", "defended", *stamps}),
        "defense.alpha_rce": (0.6, {"defended", "stamp_defended"}),
        "shadows.count": (4, {"shadows", *stamps}),
        "attacks.names": (["loss"], {"attacks", "signals", *stamps}),
        "metrics.min_false_positives": (2, {"attacks", *stamps}),
        "dataset.path": ("elsewhere", {"dataset"}),  # the same data is the same wherever it lies
    }
    for key, (value, changed) in cases.items():
        after = make(**{key: value})
        assert {name for name in before if before[name] != after[name]} == changed, key


def test_a_stamp_has_what_differs_from_the_defaults(make: Make) -> None:
    """A name always; a key only where it is not what it would be without the line."""
    content = make(**{"train.momentum": 0.9, "shadows.count": 3, "metrics.min_false_positives": 2})
    stamp = content["stamp_defended"]
    assert stamp["seed"] == 0
    assert stamp["settings"] == {
        "dataset.name": "digits", "model.name": "mlp", "model.widths": [32],
        "defense.name": "crl", "defense.alpha_rce": 0.5, "defense.tau_rce": 0.1, "split.size": 200,
        "train.lr": 0.05, "train.epochs": 6, "train.batch_size": 32,
        "metrics.min_false_positives": 2, "attacks.names": ["loss", "grad_x_l2"],
    }  # fmt: skip
    control = content["stamp_undefended"]["settings"]
    assert control == {
        **{key: value for key, value in stamp["settings"].items() if "defense" not in key},
        "defense.name": "none",
    }


def test_a_stamp_has_the_keys_of_a_base_beside_the_others(make: Make) -> None:
    values = {"name": "past", "past_base": "relaxloss", "relax_alpha": 0.7}
    own = make(defense=values)["stamp_defended"]["settings"]
    assert {key: own[key] for key in own if key.startswith("defense.")} == {
        "defense.name": "past", "defense.past_base": "relaxloss", "defense.relax_alpha": 0.7,
    }  # fmt: skip
    assert "defense.past_base" not in make(defense={"name": "past"})["stamp_defended"]["settings"]


@pytest.mark.parametrize(
    ("key", "whole", "real"),
    [
        ("train.lr", 1, 1.0),
        ("train.lr", {0: 1}, {0: 1.0}),
        ("train.momentum", 0, 0.0),
        ("defense.alpha_rce", 1, 1.0),
        ("defense.tau_rcl", 0, 0.0),
    ],
)
def test_whole_numbers_are_numbers(make: Make, key: str, whole: Any, real: Any) -> None:
    """DVC takes 1 and 1.0 for the same value: so must the files."""
    assert repr(make(**{key: whole})) == repr(make(**{key: real}))


def test_a_base_goes_along_with_its_own_settings(make: Make) -> None:
    content = make(defense={"name": "past", "past_base": "relaxloss", "relax_alpha": 0.7})
    base = content["defended"]["defense"]["past_base"]
    assert base["name"] == "relaxloss"
    assert base["relax_alpha"] == 0.7
    lines = problems(make, defense={"name": "past", "past_base": "nope"})
    assert any(line.startswith("defense.past_base: ") and "nope" in line for line in lines)


@pytest.mark.parametrize(("section", "registry"), SECTIONS.items())
def test_a_key_means_one_thing_in_its_section(section: str, registry: Any) -> None:
    """Parts share a flat section: a key that two of them have must be the same key."""
    seen: dict[str, Any] = {}
    for _, cls in registry:
        for key, field in cls.Options.model_fields.items():
            assert key not in {"name", "names", "path"}
            same = seen.setdefault(key, field)
            assert (field.annotation, field.default) == (same.annotation, same.default), key


def test_params_of_the_repository_are_right() -> None:
    content = config.make(ROOT / "params.yaml")
    assert content["defended"]["defense"]["name"] != "none"


@pytest.mark.parametrize(("section", "registry"), SECTIONS.items())
def test_params_of_the_repository_show_every_key(section: str, registry: Any) -> None:
    """Each key of each part is there, with a comment on its line or above its group."""
    keys = {key for _, cls in registry for key in cls.Options.model_fields}
    assert sorted(keys - set(read_yaml(ROOT / "params.yaml")[section])) == []
    assert sorted(keys - explained(section)) == []


@pytest.mark.parametrize(
    ("section", "schema"),
    [
        ("compute", ComputeOptions),
        ("split", SplitOptions),
        ("train", TrainOptions),
        ("shadows", ShadowOptions),
        ("metrics", MetricOptions),
        ("records", RecordOptions),
    ],
)
def test_params_of_the_repository_show_every_fixed_key(
    section: str, schema: type[Settings]
) -> None:
    assert set(read_yaml(ROOT / "params.yaml")[section]) == set(schema.model_fields)


def explained(section: str) -> set[str]:
    """Keys of a section with a comment on their line, or on a line above them in the section."""
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    [block] = re.findall(rf"^{section}:.*\n((?:(?:[ #].*)?\n)*)", text, re.MULTILINE)
    found, heading = set(), False
    for line in block.splitlines():
        heading = heading or line.strip().startswith("#")
        if heading or "#" in line:
            found.add(line.partition(":")[0].strip())
    return found


@pytest.mark.parametrize("name", ["lira", "rmia", "combined"])
def test_online_attacks_are_refused_before_training(make: Make, name: str) -> None:
    """Under assignment split no shadow trains on the target's samples; offline is fine."""
    chosen = {"attacks.names": [name], "shadows.count": 6}
    online = {**chosen, f"attacks.{name}_mode": "online"}
    assert problems(make, **online) == [
        f"attacks.{name}_mode: online needs shadows that train on the target's samples; set "
        "shadows.assignment to random_half, or use offline"
    ]
    make(**chosen, **{f"attacks.{name}_mode": "offline"})
    make(**online, **{"shadows.assignment": "random_half"})


@pytest.mark.parametrize(
    ("changes", "keys"),
    [
        ({"shadows.count": 5}, ["shadows.count"]),
        ({"attacks.names": ["lira"], "shadows.count": 4}, ["shadows.count"]),
        ({"split.scheme": "crl", "split.inference_share": 0.2}, ["split.inference_share"]),
    ],
)
def test_random_halves_that_would_not_be_like_the_target(
    make: Make, changes: dict[str, Any], keys: list[str]
) -> None:
    """An odd count, too few models with and without a sample, shadows larger than the target."""
    settings = {"shadows.assignment": "random_half", "shadows.count": 6, **changes}
    assert [problem.partition(":")[0] for problem in problems(make, **settings)] == keys


def test_a_share_of_canaries_that_is_none(make: Make) -> None:
    assert problems(make, **{"split.canaries": 1e-4, "split.size": 200}) == [
        "split.canaries: 0.0001 of 200 members is 0; must be two or more and leave two, or 0"
    ]


@pytest.mark.parametrize(("knowledge", "least"), [("partial", 4), ("shadow", 2)])
def test_too_few_members_for_the_audits_halves(make: Make, knowledge: str, least: int) -> None:
    """It would fail after all trainings otherwise."""
    values = {"attacks.knowledge": knowledge, "split.canaries": 0, "split.stratified": False}
    assert make(**values, **{"split.size": least})
    found = problems(make, **values, **{"split.size": least - 1})
    assert [problem.partition(":")[0] for problem in found] == ["split.size"]


@pytest.mark.parametrize(
    ("key", "changes"),
    [
        ("defense.stop_epoch",
         {"defense.name": "early_stopping", "defense.stop_epoch": 6, "train.epochs": 5}),
        ("train.precision",
         {"defense.name": "past", "defense.past_base": "dp_sgd", "train.precision": "bf16"}),
        ("train.precision", {"defense.name": "dp_sgd", "train.precision": "bf16"}),
        ("defense.dp_epsilon",
         {"defense.name": "dp_sgd", "defense.dp_noise": None, "defense.dp_epsilon": 0.001}),
        ("defense.gap_warmup",
         {"defense.name": "loss_gap", "defense.gap_warmup": 5, "train.epochs": 5}),
        ("defense.stop_validation",
         {"defense.name": "early_stopping", "defense.stop_epoch": 1,
          "defense.stop_validation": 1e-6}),
        ("defense.stop_validation",
         {"defense.name": "early_stopping", "defense.stop_epoch": 1,
          "defense.stop_validation": 0.9999}),
    ],
)  # fmt: skip
def test_a_defense_that_cannot_be_trained_so(make: Make, key: str, changes: dict[str, Any]) -> None:
    assert [p.partition(":")[0] for p in problems(make, **changes)] == [key]


def test_quantile_learns_under_random_half_too(make: Make) -> None:
    """From the attacker's records that no model was trained on."""
    content = make(**{
        "attacks.names": ["quantile"], "shadows.assignment": "random_half", "shadows.count": 2
    })  # fmt: skip
    assert list(content["attacks"]["attacks"]) == ["quantile"]


def test_attacks_that_ask_the_same_query_share_it(make: Make) -> None:
    content = make(**{
        "attacks.names": ["merlin", "augmentation", "boundary_noise"],
        "attacks.noise_copies": 7, "attacks.noise_step": 1, "attacks.augmentation_degrees": 9,
    })  # fmt: skip
    assert content["signals"]["queries"] == {
        "noise": {"noise_levels": 10, "noise_copies": 7, "noise_step": 1.0},
        "shifts": {},
    }
    assert content["attacks"]["attacks"]["boundary_noise"]["noise_copies"] == 7


def test_attacks_must_agree_on_a_query(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {"noise_levels": 10, "noise_copies": 50, "noise_step": 0.2}
    monkeypatch.setattr(attacks.get("merlin"), "queries", lambda self: {"noise": asked})
    assert problems(make, **{"attacks.names": ["boundary_noise", "merlin"]}) == [
        f"attacks.{key}: boundary_noise and merlin ask the query noise with different "
        f"values, {pair}"
        for key, pair in (("noise_copies", "100 and 50"), ("noise_step", "0.01 and 0.2"))
    ]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"attacks.noise_levels": 0}, "attacks.noise_levels: must be at least 1, found 0"),
        ({"attacks.noise_copies": 0.5}, "attacks.noise_copies: must be a whole number, found 0.5"),
        ({"attacks.noise_step": 0}, "attacks.noise_step: must be greater than 0, found 0"),
        (
            {"attacks.augmentation_degrees": 181},
            "attacks.augmentation_degrees: must be at most 180, found 181",
        ),
        (
            {"attacks.augmentation_kind": "flips"},
            "attacks.augmentation_kind: must be 'shifts' or 'rotations', found 'flips'",
        ),
        (
            {"attacks.augmentation_kind": "rotations", "attacks.augmentation_pixels": 8},
            "attacks.augmentation_pixels: must be less than 8, the side of an image, found 8",
        ),
    ],
)
def test_bad_options_of_queries_are_refused(make: Make, changes: dict[str, Any], line: str) -> None:
    assert problems(make, **{"attacks.names": ["augmentation", "merlin"]}, **changes) == [line]


@pytest.mark.parametrize("kind", ["shifts", "rotations"])
def test_queries_that_do_not_fit_the_data(make: Make, kind: str) -> None:
    """600 features, no image."""
    changes = {
        "dataset": {"name": "shoppers", "n": 1200, "path": "data/raw"},
        "attacks.names": ["augmentation", "merlin"],
        "attacks.augmentation_kind": kind,
    }
    assert problems(make, **changes) == [
        f"attacks.augmentation_kind: {kind} needs images, the data are tables of zeros and ones; "
        "take augmentation out of attacks.names",
    ]
    make(**changes | {"attacks.names": ["merlin"], "attacks.noise_levels": 600})


@pytest.fixture
def texts(tmp_path: Path) -> dict[str, Any]:
    """Changes that make the content one for a few texts."""
    arrays = tiny.tokens()
    np.savez(tmp_path / "texts.npz", x=arrays.inputs, y=arrays.labels)
    return {
        "dataset": {"name": "npz", "path": str(tmp_path / "texts.npz"), "tokens": True},
        "model": {"name": "embedding_bag"},
        "split.size": None,
        "attacks.names": ["loss", "grad_w_l2", "combined"],
        "defense": {"name": "relaxloss", "relax_alpha": 0.5},
    }


def test_token_ids_can_be_trained_on(make: Make, texts: dict[str, Any]) -> None:
    content = make(**texts)
    assert content["dataset"]["tokens"] is True
    assert content["defended"]["model"]["name"] == "embedding_bag"


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"attacks.names": ["loss", "grad_x_l2"]}, "attacks.names: grad_x_l2 needs the gradient at "
         "the input, which token ids do not have; use grad_w_l2"),
        ({"attacks.names": ["merlin"]}, "attacks.names: boundary_noise and merlin ask about noisy "
         "copies, which token ids do not have; use loss or modified_entropy"),
        ({"attacks.names": ["augmentation"]}, "attacks.augmentation_kind: shifts needs images, the "
         "data are token ids; take augmentation out of attacks.names"),
        ({"train.augment": "crop_flip"}, "train.augment: crop_flip needs images, the data are "
         "token ids; use none"),
        ({"model": {"name": "mlp"}}, "model.name: mlp needs images or tables of zeros and ones or "
         "tables, the data are token ids; use embedding_bag"),
        ({"model": {"name": "resnet20"}}, "model.name: resnet20 needs images, the data are token "
         "ids; use embedding_bag"),
        ({"defense": {"name": "hamp"}}, "defense.hamp_release: needs random inputs, which token "
         "ids do not have; set it to false"),
        ({"defense": {"name": "mixup_mmd"}}, "defense.mixup_alpha: mixes inputs, which token ids "
         "cannot be; set it to 0, which leaves the penalty"),
        ({"defense": {"name": "past", "past_base": "hamp"}}, "defense.hamp_release: needs random "
         "inputs, which token ids do not have; set it to false"),
    ],
)  # fmt: skip
def test_what_token_ids_cannot_do(
    make: Make, texts: dict[str, Any], changes: dict[str, Any], line: str
) -> None:
    assert problems(make, **{**texts, **changes}) == [line]


def test_tokens_are_not_dropped_without_a_word(make: Make) -> None:
    [line] = problems(make, **{"dataset.tokens": True})
    assert line.startswith("dataset.tokens: token ids are read from npz alone, found dataset.name")


@pytest.fixture
def patients(tmp_path: Path) -> dict[str, Any]:
    """Changes that make the content one for a table of 60 patients with 4 visits each."""
    rng = np.random.default_rng(0)
    rows = [f"{i // 4},{rng.normal():.4f},{i % 3}" for i in range(240)]
    (tmp_path / "visits.csv").write_text("\n".join(["patient,a,label", *rows]))
    return {
        "dataset": {"name": "csv", "path": str(tmp_path / "visits.csv")},
        "split": {"scheme": "past", "group": "patient"},
        "attacks.names": ["loss"],
        "defense": {"name": "none"},
    }


def test_groups_are_handed_to_the_data_source(make: Make, patients: dict[str, Any]) -> None:
    content = make(**patients)
    assert content["dataset"]["group"] == content["split"]["group"] == "patient"
    assert "group" not in make(**patients, **{"split.group": None})["dataset"]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"split.group": "person"}, "split.group: no column 'person' in the first line"),
        ({"split.group": "label"}, "split.group: 'label' is the label"),
        ({"split.size": 6}, "split.group: the largest group has 4 samples, more than half a "
         "training set of 6; sets hold whole groups"),
        ({"dataset": {"name": "digits"}}, "split.group: digits has no groups, found 'patient'; "
         "they are read from csv (a column), image_folder (a regular expression with a group)"),
    ],
)  # fmt: skip
def test_groups_that_cannot_be(
    make: Make, patients: dict[str, Any], changes: dict[str, Any], line: str
) -> None:
    [found] = problems(make, **{**patients, **changes})
    assert line in found
