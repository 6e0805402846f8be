"""What an audit found: one frozen, typed object an arm, which tables and pictures read.

Rates are fractions, losses in nats, numbers rounded to 6 digits. A number that the samples do not
support is null, with the reason beside it. `nonmember schema` prints the JSON schema.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from nonmember import files
from nonmember.metrics.stamp import Stamp
from nonmember.notices import Notice, counted

if TYPE_CHECKING:
    from nonmember.metrics.intervals import Interval

SCHEMA = 1
AttackerName = Literal["adaptive", "non_adaptive", "partial"]  # who knows most comes first


class Frozen(BaseModel):
    """Checked when it is made or read, and never changed."""

    model_config = ConfigDict(  # constants: so that what is not finite is refused, not made null
        frozen=True, extra="forbid", allow_inf_nan=False, ser_json_inf_nan="constants"
    )


class Number(Frozen):
    """An estimate with its 95 % interval; None in all places, and `why`, without support.

    sd: standard deviation over the splits, where the estimate is a mean over several.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    why: str | None = None
    sd: float | None = None

    @model_validator(mode="after")
    def _with_its_reason(self) -> Number:
        if self.value is None and not self.why:
            raise ValueError("a number without a value needs the reason, `why`")
        return self

    @classmethod
    def of(cls, interval: Interval | None, why: str | None = None) -> Number:
        """Rounded to 6 digits; `why` is kept where there is no value."""
        if interval is None or interval.value is None:
            return cls(value=None, why=why or "not measured")
        value, low, high = (None if v is None else round(float(v), 6) for v in interval)
        return cls(value=value, low=low, high=high)


class Ranking(Frozen):
    """What needs no threshold: AUC, and TPR at FPRs of 1, 0.1 and 0.01 %."""

    auc: Number
    tpr_at_1_fpr: Number
    tpr_at_01_fpr: Number
    tpr_at_001_fpr: Number


class AttackNumbers(Ranking):
    """One attack on the target.

    balanced_accuracy, advantage (TPR − FPR): at a threshold fitted on the attacker's own models;
    class_advantage: at one a class.
    """

    balanced_accuracy: Number
    advantage: Number
    class_advantage: Number
    members: int
    non_members: int

    @property
    def higher_advantage(self) -> float | None:
        """The larger of the two advantages; None where neither is supported."""
        values = (self.advantage.value, self.class_advantage.value)
        return max((value for value in values if value is not None), default=None)


class Attacker(Frozen):
    """What one attacker found, attack by attack; `canaries` where any were planted."""

    attacks: dict[str, AttackNumbers]
    canaries: dict[str, Ranking] | None = None

    @property
    def strongest(self) -> str:
        """The attack with the highest AUC, the first of ties."""
        return max(self.attacks, key=lambda name: auc_of(self.attacks[name]))

    @property
    def highest_advantage(self) -> float | None:
        """The highest advantage of any attack, at one threshold or at one a class."""
        values = (numbers.higher_advantage for numbers in self.attacks.values())
        return max((value for value in values if value is not None), default=None)


class Behaviour(Frozen):
    """The released answers on members (train) and non-members (test).

    Losses: cross-entropy, nats. brier: multi-class Brier score, 0 to 2. ece: expected calibration
    error of the predicted class's probability in 15 equal bins. balanced_test_acc: mean over the
    classes of their test accuracy.
    """

    train_acc: float
    test_acc: float
    gap: float
    balanced_test_acc: float
    train_loss_mean: float
    train_loss_var: float
    test_loss_mean: float
    test_loss_var: float
    train_brier: float
    test_brier: float
    train_ece: float
    test_ece: float
    members: int
    non_members: int


class Leak(Frozen):
    """Whether the reference set has leaked: the AUC between it and the non-members (PAST, Fig. 8).

    0.5: the target treats it like any non-member. acc: accuracy on it.
    """

    auc: Number
    acc: float
    samples: int


class EpsilonBound(Frozen):
    """With this confidence training was not (epsilon, delta)-private for less than `epsilon`."""

    epsilon: float
    attack: str
    direction: Literal["accuse", "clear"]
    threshold: float | None
    confidence: float
    delta: float


class OneRunBound(Frozen):
    """The same without taking samples as independent (Steinke, Nasr and Jagielski 2023).

    correct of `guesses` guesses about `coins` samples are right; kind: whether only members are
    guessed or non-members too.
    """

    epsilon: float
    attack: str
    kind: Literal["members", "both"]
    guesses: int
    correct: int
    coins: int
    confidence: float
    delta: float


class ClassNumbers(Frozen):
    """One class's samples alone."""

    label: int
    auc: Number
    members: int
    non_members: int


class RiskBin(Frozen):
    """Stated against true: of the samples with a risk in [low, high) what share are members.

    share: if members were half of all.
    """

    low: float
    high: float
    risk: float
    share: Number
    members: int
    non_members: int


class Place(NamedTuple):
    """Where in a report a number stands: whose attack."""

    attacker: AttackerName
    attack: str


class AuditReport(Frozen):
    """One arm's audit.

    defense_facts: what the defense says of its own training, such as DP-SGD's epsilon.
    classes: attack of the primary attacker -> its ten worst classes.
    duplicates: evaluated non-members that are exact copies of a member.
    notices: what must be said beside every number.
    """

    schema_version: Literal[1] = 1
    stamp: Stamp
    arm: str
    defense: str
    model: Behaviour
    defense_facts: dict[str, float]
    attackers: dict[AttackerName, Attacker]
    reference_leak: Leak | None
    duplicates: int
    epsilon: EpsilonBound
    epsilon_canaries: EpsilonBound | None
    epsilon_one_run: OneRunBound | None = None
    classes: dict[str, list[ClassNumbers]]
    reliability: list[RiskBin]
    notices: list[Notice] = []

    @classmethod
    def read(cls, path: str | Path) -> AuditReport:
        """What `write` wrote; ValueError naming the file if it is no report of this version."""
        value = files.read_json(path)
        version = value.get("schema_version") if isinstance(value, dict) else None
        if version != SCHEMA:
            raise ValueError(
                f"{path}: an audit report of schema {SCHEMA} is needed, found {version}; "
                "run `dvc repro`"
            )
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            raise ValueError(f"{path}: no whole audit report ({error})") from error

    def write(self, path: str | Path) -> None:
        """As JSON, whole or not at all."""
        files.write_json(path, self.model_dump(mode="json", exclude_defaults=False))

    def corner(self) -> str:
        """For the corner of a picture: what it is of, and how many notices there are."""
        return " · ".join(filter(None, [self.stamp.short(), counted(self.notices)]))

    @property
    def label(self) -> str:
        """The arm in a table or legend, such as `defended (crl)`."""
        return self.arm if self.arm == "undefended" else f"{self.arm} ({self.defense})"

    @property
    def primary_name(self) -> AttackerName:
        """The attacker who knows most."""
        return next(self.names())

    @property
    def primary(self) -> Attacker:
        """The numbers of the attacker who knows most: the headline."""
        return self.attackers[self.primary_name]

    def names(self) -> Iterator[AttackerName]:
        """The attackers there are, who knows most first."""
        order: tuple[AttackerName, ...] = get_args(AttackerName)
        return (name for name in order if name in self.attackers)

    def places(self) -> Iterator[tuple[Place, AttackNumbers]]:
        """Every attack of every attacker."""
        for attacker in self.names():
            for attack, numbers in self.attackers[attacker].attacks.items():
                yield Place(attacker, attack), numbers

    def highest(self, number: Callable[[AttackNumbers], Number]) -> tuple[Place, Number] | None:
        """The largest of one number over all attacks and attackers; None if none supports it.

        An adaptive attacker may do what a non-adaptive one does, so all count. The first of ties.
        """
        numbered = [(place, number(numbers)) for place, numbers in self.places()]
        supported = [(place, value) for place, value in numbered if value.value is not None]
        return max(supported, key=lambda pair: pair[1].value or 0.0, default=None)

    @property
    def strongest(self) -> tuple[Place, Number]:
        """Whose attack has the highest AUC, and that AUC."""
        highest = self.highest(lambda numbers: numbers.auc)
        if highest is None:
            raise ValueError("the report holds no attack with an AUC")
        return highest

    @property
    def highest_advantage(self) -> float:
        """The highest advantage of any attack and attacker."""
        values = [attacker.highest_advantage for attacker in self.attackers.values()]
        supported = [value for value in values if value is not None]
        if not supported:
            raise ValueError("the report holds no advantage")
        return max(supported)


def auc_of(numbers: Ranking) -> float:
    """The AUC, which is always there for an attack that was scored."""
    if numbers.auc.value is None:
        raise ValueError(f"an attack without an AUC: {numbers.auc.why}")
    return numbers.auc.value
