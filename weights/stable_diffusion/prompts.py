"""What is asked for: the grammar of the prompts, scenes that fit them, and what training never sees."""

from __future__ import annotations

import random
import zlib
from dataclasses import dataclass, replace

from weights.stable_diffusion.scenes import BACKGROUNDS, COLOURS, SHAPES, SIDE, SIZES, STYLES, Scene, Thing

Pair = tuple[str, str]  # colour and shape

POSITIONS = {
    "at the top left": (0, 0),
    "at the top": (1, 0),
    "at the top right": (2, 0),
    "at the left": (0, 1),
    "in the center": (1, 1),
    "at the right": (2, 1),
    "at the bottom left": (0, 2),
    "at the bottom": (1, 2),
    "at the bottom right": (2, 2),
}
RELATIONS = {"left of": (-1, 0), "right of": (1, 0), "above": (0, -1), "below": (0, 1)}
NUMBERS = {2: "two", 3: "three"}
SYNONYMS = {
    "left of": ("to the left of",),
    "right of": ("to the right of",),
    "above": ("over",),
    "below": ("under",),
    "center": ("centre", "middle"),
    "gray": ("grey",),
    "large": ("big",),
    "small": ("tiny",),
    "an outlined": ("a hollow",),
}
# Never in training, in no kind of scene.
HELD_PAIRS: frozenset[Pair] = frozenset(
    {
        ("green", "heart"),
        ("pink", "square"),
        ("cyan", "star"),
        ("orange", "cross"),
        ("purple", "triangle"),
        ("yellow", "circle"),
    }
)
ALL_PAIRS = tuple((colour, shape) for colour in COLOURS for shape in SHAPES)
SEEN_PAIRS = tuple(pair for pair in ALL_PAIRS if pair not in HELD_PAIRS)
HELD_KINDS = ("pairs", "relations", "both", "counts", "positions", "styles")
GAP_PX = 4.0  # between two things
JITTER_PX = 2.0  # of a named position


def held_combination(one: Pair, other: Pair) -> bool:
    """Whether these two together are kept out of training: a tenth of all combinations, whichever comes first."""
    return zlib.crc32(" ".join(sorted((" ".join(one), " ".join(other)))).encode()) % 10 == 0


def plural_of(noun: str) -> str:
    return f"{noun}es" if noun.endswith("s") else f"{noun}s"


@dataclass(frozen=True, slots=True)
class Wish:
    """One thing in a prompt; None: not said."""

    colour: str | None
    shape: str | None
    size: str | None = None
    style: str | None = None

    def words(self, plural: bool = False) -> str:
        noun = plural_of(self.shape or "shape") if plural else self.shape or "shape"
        return " ".join(word for word in (self.size, self.style, self.colour, noun) if word)


@dataclass(frozen=True, slots=True)
class Request:
    """What a prompt says. `relation` is of the first thing to the second, "and" where none is said."""

    things: tuple[Wish, ...]
    count: int = 1  # of the first thing, where it is the only one
    relation: str | None = None
    position: str | None = None
    background: str | None = None

    def prompt(self) -> str:
        if self.count > 1:
            text = f"{NUMBERS[self.count]} {self.things[0].words(plural=True)}"
        else:
            text = _article(self.things[0].words())
        if self.relation:
            text += f" {self.relation} {_article(self.things[1].words())}"
        if self.position:
            text += f" {self.position}"
        return text + (f" on a {self.background} background" if self.background else "")


def _article(words: str) -> str:
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


# --- drawing requests -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Mix:
    """Of what training is shown how much, as shares: two things in a relation, two or three alike, the rest is of one
    thing; and of things those whose style is said."""

    related: float
    alike: float
    styled: float


MIXES = {"even": Mix(0.55, 0.13, 0.4), "numbers-and-styles": Mix(0.33, 0.33, 0.65)}


def draw_request(chance: random.Random, mix: Mix = MIXES["even"]) -> Request:
    """A request for training. Free of all that is held out."""
    background = chance.choice(list(BACKGROUNDS)) if chance.random() < 0.65 else None
    kind = chance.random()
    if kind < mix.related:
        while True:
            one, other = chance.choice(SEEN_PAIRS), chance.choice(SEEN_PAIRS)
            if one != other and not held_combination(one, other):
                break
        relation = "and" if kind < 0.11 * mix.related else chance.choice(list(RELATIONS))
        wishes = (_wish(chance, one, mix.styled), _wish(chance, other, mix.styled))
        return Request(wishes, relation=relation, background=background)
    first = _wish(chance, chance.choice(SEEN_PAIRS), mix.styled)
    if kind < mix.related + mix.alike:
        # Three large shapes have no room.
        count = chance.choice(list(NUMBERS))
        first = replace(
            first, size=None if first.size == "large" else first.size, style=first.style if count == 2 else None
        )
        return Request((first,), count=count, background=background)
    position = chance.choice(list(POSITIONS)) if chance.random() < 0.6 else None
    return Request((first,), position=position, background=background)


def held_request(kind: str, chance: random.Random) -> Request:
    """A request for evaluation. `kind` is one of HELD_KINDS; the first two are of things training never showed."""
    background = chance.choice(list(BACKGROUNDS)) if chance.random() < 0.5 else None
    if kind == "pairs":
        return Request((Wish(*chance.choice(sorted(HELD_PAIRS))),), background=background)
    if kind == "relations":
        while True:
            one, other = chance.choice(SEEN_PAIRS), chance.choice(SEEN_PAIRS)
            if one != other and held_combination(one, other):
                relation = chance.choice(list(RELATIONS))
                return Request((Wish(*one), Wish(*other)), relation=relation, background=background)
    if kind == "both":
        one, other = chance.choice(sorted(HELD_PAIRS)), chance.choice(SEEN_PAIRS)
        things = [Wish(*one), Wish(*other)]
        chance.shuffle(things)
        return Request(tuple(things), relation=chance.choice(list(RELATIONS)), background=background)
    pair = chance.choice(SEEN_PAIRS)
    if kind == "counts":
        return Request((Wish(*pair),), count=chance.choice(list(NUMBERS)), background=background)
    if kind == "positions":
        return Request((Wish(*pair),), position=chance.choice(list(POSITIONS)), background=background)
    assert kind == "styles"
    return Request((Wish(*pair, style=chance.choice(STYLES)),), background=background)


def _wish(chance: random.Random, pair: Pair, styled: float) -> Wish:
    size = chance.choice(list(SIZES)) if chance.random() < 0.35 else None
    # Outlines and stripes of small shapes are finer than the pixels.
    style = chance.choice(STYLES) if size != "small" and chance.random() < styled else None
    return Wish(*pair, size=size, style=style)


def caption(request: Request, chance: random.Random) -> str:
    """The prompt in words that vary. Now and then something is left unsaid, or is there that means nothing."""
    if len(request.things) == 1 and chance.random() < 0.12:  # so that short prompts and negative prompts work
        wish = request.things[0]
        fragments = [wish.colour, plural_of(wish.shape or "shape") if request.count > 1 else wish.shape]
        fragments += [
            wish.style,
            f"{request.background} background" if request.background else None,
            request.position,
            wish.size,
        ]
        words_only = [fragment for fragment in fragments if fragment]
        return chance.choice(words_only)
    if chance.random() < 0.06:
        first = request.things[0]
        first = replace(first, shape=None) if chance.random() < 0.5 else replace(first, colour=None)
        request = replace(request, things=(first, *request.things[1:]))
    text = request.prompt()
    if chance.random() < 0.2:
        text = text.replace(" a ", " ").removeprefix("a ")  # as people type
    if request.background and chance.random() < 0.2:
        text = text.replace(" on a ", " on ").removesuffix(" background")
    for word, others in SYNONYMS.items():
        if chance.random() < 0.25:
            text = text.replace(word, chance.choice(others))
    if chance.random() < 0.1:
        text = f"a picture of {text}"
    if chance.random() < 0.04:
        words = text.split()
        words.insert(chance.randrange(len(words) + 1), "[unknown]")
        text = " ".join(words)
    return text


# --- scenes for requests --------------------------------------------------------------------------


def arrange(request: Request, chance: random.Random) -> Scene:
    """A scene of which the request is true. What it leaves open is drawn at random."""
    wishes = request.things * request.count
    background = request.background or chance.choice(list(BACKGROUNDS))
    while True:
        things = tuple(_place(request, chance, number, len(wishes)) for number in range(len(wishes)))
        if len(wishes) == 1 or _fits(things, request.relation):
            return Scene(things, background)


def _place(request: Request, chance: random.Random, number: int, total: int) -> Thing:
    wish = (request.things * request.count)[number]
    radius = chance.uniform(*SIZES[wish.size or "medium"])
    if total == 3:
        radius = min(radius, chance.uniform(8.0, 9.5))
    elif total == 2:
        radius = min(radius, chance.uniform(13.0, 14.0))
    low, high = radius + 1, SIDE - radius - 1
    x, y = chance.uniform(low, high), chance.uniform(low, high)
    if request.position:
        column, row = POSITIONS[request.position]
        x = min(max(SIDE * (column + 1) / 4 + chance.uniform(-JITTER_PX, JITTER_PX), low), high)
        y = min(max(SIDE * (row + 1) / 4 + chance.uniform(-JITTER_PX, JITTER_PX), low), high)
    style = wish.style or "filled"
    assert wish.colour
    assert wish.shape
    return Thing(wish.colour, wish.shape, style, x, y, radius)


def _fits(things: tuple[Thing, ...], relation: str | None) -> bool:
    """No two touch, and a relation is clear: the way it names is at least twice as far as the other."""
    for number, one in enumerate(things):
        for other in things[:number]:
            apart = max(abs(one.x - other.x), abs(one.y - other.y))
            if apart < one.radius + other.radius + GAP_PX:
                return False
    if relation not in RELATIONS:
        return True
    right, down = RELATIONS[relation]
    x, y = things[0].x - things[1].x, things[0].y - things[1].y
    along, across = (x * right, y) if right else (y * down, x)
    return along > 2 * abs(across)
