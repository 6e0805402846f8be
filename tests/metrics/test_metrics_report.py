"""A report is frozen, whole, of one version, and says why a number is missing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import reports
from pydantic import BaseModel, ValidationError

from nonmember import files
from nonmember.commands import schema
from nonmember.metrics.intervals import Interval
from nonmember.metrics.report import Attacker, AuditReport, Frozen, Number, Place, auc_of
from nonmember.metrics.stamp import Stamp

Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A report that was written."""
    path = tmp_path / "metrics/defended/report.json"
    reports.report().write(path)
    return path


def parts_of(value: Any) -> Iterator[BaseModel]:
    """Every model in a model, itself first."""
    if isinstance(value, BaseModel):
        yield value
        value = dict(value)
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from parts_of(part)


def kinds_of(cls: type[Frozen]) -> set[type[Frozen]]:
    return {cls, *(deeper for sub in cls.__subclasses__() for deeper in kinds_of(sub))}


def test_what_was_written_is_read(path: Path) -> None:
    assert AuditReport.read(path) == reports.report()


def test_equal_reports_are_equal_files(path: Path, tmp_path: Path) -> None:
    AuditReport.read(path).write(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == path.read_bytes()


def test_a_report_of_every_type_there_is_never_changes() -> None:
    """The report of the tests holds each of them, so each was asked."""
    found = list(parts_of(reports.report()))
    assert {type(part) for part in found} == (kinds_of(Frozen) - {Frozen}) | {Stamp}
    for part in found:
        name = next(iter(type(part).model_fields))
        with pytest.raises(ValidationError, match="frozen"):
            setattr(part, name, getattr(part, name))


def test_a_field_too_many_is_refused_in_every_part() -> None:
    for part in parts_of(reports.report()):
        with pytest.raises(ValidationError, match=r"colour\n +Extra inputs are not permitted"):
            type(part).model_validate({**dict(part), "colour": 1})


def test_a_field_too_few_is_refused_in_every_part() -> None:
    for part in parts_of(reports.report()):
        for name, field in type(part).model_fields.items():
            fewer = {key: value for key, value in dict(part).items() if key != name}
            if field.is_required():
                with pytest.raises(ValidationError, match=rf"{name}\n +Field required"):
                    type(part).model_validate(fewer)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_no_number_is_nan_or_infinite(value: float) -> None:
    with pytest.raises(ValidationError, match="finite number"):
        Number(value=value)
    with pytest.raises(ValidationError, match="finite number"):
        reports.report(defense_facts={"epsilon": value})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda value: value.pop("model"), "no whole audit report"),
        (lambda value: value["model"].pop("gap"), r"no whole audit report(.|\n)*model\.gap"),
        (lambda value: value.update(colour=1), r"no whole audit report(.|\n)*colour"),
        (lambda value: value["attackers"].update(guesser={}), "no whole audit report"),
        (
            lambda value: value["attackers"]["adaptive"]["attacks"]["loss"]["auc"].update(
                value=None
            ),
            r"no whole audit report(.|\n)*needs the reason, `why`",
        ),
        (lambda value: value["model"].update(gap=float("nan")), "no whole audit report"),
        (lambda value: value.update(schema_version=2), "schema 1 is needed, found 2; run `dvc"),
        (lambda value: value.pop("schema_version"), "schema 1 is needed, found None; run `dvc"),
    ],
)
def test_a_file_that_is_no_report_is_named(path: Path, change: Change, words: str) -> None:
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))
    with pytest.raises(ValueError, match=rf"^\S+defended/report\.json: (.|\n)*{words}"):
        AuditReport.read(path)


def test_a_list_is_no_report(path: Path) -> None:
    path.write_text("[1]")
    with pytest.raises(ValueError, match=r"report\.json: .* schema 1 is needed, found None"):
        AuditReport.read(path)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_cut_file_is_named(path: Path, share: float) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ValueError, match=r"defended/report\.json: not valid JSON"):
        AuditReport.read(path)


def test_a_setting_that_is_not_finite_is_not_written(path: Path) -> None:
    """Settings are of any type, so only the file can refuse it; the file of before stays."""
    before = path.read_bytes()
    bad = reports.report(stamp=reports.stamp(settings={"train.lr": float("inf")}))
    with pytest.raises(ValueError, match=r"defended/report\.json: NaN or infinity"):
        bad.write(path)
    assert path.read_bytes() == before


def test_a_number_is_rounded_to_six_digits() -> None:
    found = Number.of(Interval(0.12345678, 0.1, 0.2))
    assert found == Number(value=0.123457, low=0.1, high=0.2)
    assert Number.of(Interval(0.5, 0.4, 0.6), "of no use").why is None


def test_a_number_without_a_value_has_a_reason() -> None:
    assert Number.of(None, "too few") == Number(value=None, why="too few")
    assert Number.of(Interval(None, None, None)).why == "not measured"
    for why in (None, ""):
        with pytest.raises(ValidationError, match="needs the reason, `why`"):
            Number(value=None, why=why)


def test_who_knows_most_comes_first_however_they_were_found() -> None:
    attackers = reports.report().attackers
    turned = dict(reversed(attackers.items()))
    found = reports.report(attackers=turned)
    assert list(found.attackers) == ["non_adaptive", "adaptive"]
    assert list(found.names()) == ["adaptive", "non_adaptive"]
    assert found.primary_name == "adaptive"
    assert found.primary == attackers["adaptive"]
    places = [place for place, _ in found.places()]
    assert places == [
        ("adaptive", "loss"), ("adaptive", "lira"),
        ("non_adaptive", "loss"), ("non_adaptive", "lira"),
    ]  # fmt: skip


def test_partial_knowledge_alone_is_primary() -> None:
    alone = {"partial": Attacker(attacks={"loss": reports.numbers()})}
    assert reports.report(attackers=alone).primary_name == "partial"


def of_aucs(**values: tuple[float, ...]) -> AuditReport:
    """Attacker -> the AUCs of its attacks a, b, …"""
    return reports.report(
        attackers={
            name: Attacker(
                attacks={
                    attack: reports.numbers(auc=auc)
                    for attack, auc in zip("abc", aucs, strict=False)
                }
            )
            for name, aucs in values.items()
        }
    )


@pytest.mark.parametrize(
    ("adaptive", "non_adaptive", "expected"),
    [
        ((0.6, 0.7), (0.5, 0.65), ("adaptive", "b")),
        ((0.6, 0.7), (0.71, 0.65), ("non_adaptive", "a")),  # knowing less it may do better
        ((0.6, 0.7, 0.7), (0.7, 0.7), ("adaptive", "b")),  # of ties the first
        ((0.3, 0.2), (0.1, 0.25), ("adaptive", "a")),
    ],
)
def test_the_strongest_attack_has_the_highest_auc(
    adaptive: tuple[float, ...], non_adaptive: tuple[float, ...], expected: tuple[str, str]
) -> None:
    found = of_aucs(adaptive=adaptive, non_adaptive=non_adaptive)
    place, auc = found.strongest
    assert place == expected
    assert isinstance(place, Place)
    assert auc.value == max(adaptive + non_adaptive)
    assert found.primary.strongest == "abc"[adaptive.index(max(adaptive))]


def test_the_highest_leaves_out_what_is_not_supported() -> None:
    found = reports.report(
        attackers={
            "adaptive": Attacker(
                attacks={
                    "a": reports.numbers(tpr_at_1_fpr=None),
                    "b": reports.numbers(tpr_at_1_fpr=-0.0),
                }
            ),
            "non_adaptive": Attacker(attacks={"a": reports.numbers(tpr_at_1_fpr=0.2)}),
        }
    )
    highest = found.highest(lambda numbers: numbers.tpr_at_1_fpr)
    assert highest is not None
    assert highest == (("non_adaptive", "a"), reports.number(0.2))
    assert found.highest(lambda numbers: numbers.tpr_at_01_fpr) is None


def test_the_highest_of_numbers_below_zero() -> None:
    attacks = {"a": reports.numbers(advantage=-0.3), "b": reports.numbers(advantage=-0.1)}
    found = reports.report(attackers={"adaptive": Attacker(attacks=attacks)})
    highest = found.highest(lambda numbers: numbers.advantage)
    assert highest == (("adaptive", "b"), reports.number(-0.1))


@pytest.mark.parametrize(
    ("advantage", "class_advantage", "expected"),
    [(0.1, 0.2, 0.2), (0.3, 0.2, 0.3), (None, 0.2, 0.2), (0.1, None, 0.1), (None, None, None)],
)
def test_the_higher_advantage_of_an_attack(
    advantage: float | None, class_advantage: float | None, expected: float | None
) -> None:
    found = reports.numbers(advantage=advantage, class_advantage=class_advantage)
    assert found.higher_advantage == expected
    weak = reports.numbers(advantage=-0.5, class_advantage=-0.5)
    assert Attacker(attacks={"a": found}).highest_advantage == expected
    attacker = Attacker(attacks={"weak": weak, "a": found})
    assert attacker.highest_advantage == (-0.5 if expected is None else expected)


def test_the_highest_advantage_of_any_attacker() -> None:
    assert reports.report().highest_advantage == 0.3
    less = Attacker(attacks={"a": reports.numbers(class_advantage=0.4)})
    none = Attacker(attacks={"a": reports.numbers(advantage=None, class_advantage=None)})
    assert (
        reports.report(attackers={"adaptive": none, "non_adaptive": less}).highest_advantage == 0.4
    )
    with pytest.raises(ValueError, match="no advantage"):
        _ = reports.report(attackers={"adaptive": none}).highest_advantage


def test_an_attack_without_an_auc_is_not_ranked() -> None:
    none = Attacker(attacks={"a": reports.numbers(auc=None)})
    with pytest.raises(ValueError, match="without an AUC: too few non-members"):
        auc_of(none.attacks["a"])
    with pytest.raises(ValueError, match="no attack with an AUC"):
        _ = reports.report(attackers={"adaptive": none}).strongest


def test_the_label_of_an_arm() -> None:
    assert reports.report().label == "defended (crl)"
    assert reports.report(arm="undefended", defense="none").label == "undefended"


def declared(value: Any, node: dict[str, Any], whole: dict[str, Any], at: str = "") -> list[str]:
    """Keys of a JSON value that the schema does not declare, and required ones that are absent."""
    if "$ref" in node:
        node = whole["$defs"][node["$ref"].removeprefix("#/$defs/")]
    if "anyOf" in node:
        kinds = {type(None): "null", dict: "", list: "array"}
        wanted = kinds.get(type(value))
        [node] = [
            choice
            for choice in node["anyOf"]
            if (choice.get("type", "") == "null") == (wanted == "null")
        ]
        return declared(value, node, whole, at)
    if isinstance(value, list):
        return [
            words
            for i, part in enumerate(value)
            for words in declared(part, node.get("items", {}), whole, f"{at}/{i}")
        ]
    if not isinstance(value, dict) or node.get("additionalProperties") is True:
        return []
    known, others = node.get("properties", {}), node.get("additionalProperties")
    wrong = [f"{at}/{key} is absent" for key in node.get("required", []) if key not in value]
    for key, part in value.items():
        own = known.get(key, others or None)
        if own is None:
            wrong.append(f"{at}/{key} is not declared")
        else:
            wrong += declared(part, own, whole, f"{at}/{key}")
    return wrong


def test_the_schema_that_is_printed_declares_every_key_of_a_report(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    schema.main()
    printed = json.loads(capsys.readouterr().out)
    value = files.read_json(path)
    assert declared(value, printed, printed) == []
    assert AuditReport.model_validate_json(path.read_text()) == reports.report()
    value["model"]["colour"] = 1
    value["classes"]["loss"][0]["auc"].pop("value")
    assert declared(value, printed, printed) == [
        "/model/colour is not declared", "/classes/loss/0/auc/value is absent",
    ]  # fmt: skip


def test_the_schema_knows_the_kinds_of_attacker_and_the_version() -> None:
    made = AuditReport.model_json_schema()
    assert made["properties"]["schema_version"]["const"] == 1
    kinds = made["properties"]["attackers"]["propertyNames"]["enum"]
    assert kinds == ["adaptive", "non_adaptive", "partial"]


def test_the_committed_reports_are_whole() -> None:
    root = Path(__file__).parent.parent.parent
    for arm in ("undefended", "defended"):
        report = AuditReport.read(root / f"metrics/{arm}/report.json")
        assert report.arm == arm
        for part in parts_of(report):
            assert not isinstance(part, Number) or (part.value is None) == bool(part.why)
