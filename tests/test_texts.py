"""Interface texts: whose language is spoken, and that the catalogues fit the code."""

from __future__ import annotations

import ast
import json
import pickle
import re
from collections.abc import Iterator
from copy import copy, deepcopy
from functools import cache
from pathlib import Path

import pytest
import yaml
from markdown_it import MarkdownIt

from hub import errors, texts
from hub.pages.registry import discover
from hub.spec import Choice, Choices, Demo
from hub.suggest import unknown_option
from hub.texts import CHINESE, ENGLISH, PLACEHOLDER, Sentence, joined, negotiated, sentence
from hub.web.middleware.languages import choose_language, mark_page
from hub.web.parts.card_summary import summarise
from tests.served import ROOT

FILES = [
    texts.LOCALES / f"{CHINESE}.toml",
    *(file for page in discover() if (file := page.assets / f"{CHINESE}.toml").is_file()),
]
IN_SCRIPT = re.compile(r"""\bsay\(\s*(?:[^"',()]*\?\s*)?"((?:[^"\\]|\\.)+)"(?:\s*:\s*"((?:[^"\\]|\\.)+)")?""")
SPOKEN = {"say", "say_plainly"}


@pytest.mark.parametrize(
    ("accept", "language"),
    [
        ("", ENGLISH),
        ("en-US,en;q=0.9", ENGLISH),
        ("zh-CN,zh;q=0.9,en;q=0.8", CHINESE),
        ("zh", CHINESE),
        ("zh-TW", CHINESE),
        ("ZH_hans", CHINESE),
        ("de-DE,de;q=0.9,zh;q=0.5,en;q=0.4", CHINESE),
        ("de-DE,de;q=0.9", ENGLISH),
        ("en;q=0.5, zh;q=0.6", CHINESE),
        ("zh;q=0, *", ENGLISH),
        ("zh;q=oops,en;q=0.1", ENGLISH),
        ("zha,;;,q=1", ENGLISH),
    ],
)
def test_the_browser_gets_the_language_it_likes_best_of_those_there_are(accept: str, language: str) -> None:
    assert negotiated(accept) == language


def test_an_address_beats_the_cookie_which_beats_the_browser_and_what_is_unknown_counts_for_nothing() -> None:
    assert choose_language("zh", "en", "en") == CHINESE
    assert choose_language("", "zh-CN", "en") == CHINESE
    assert choose_language("en", "zh-CN", "zh") == ENGLISH
    assert choose_language("xx", "<script>", "zh-HK") == CHINESE


def test_a_template_is_translated_and_so_are_the_words_of_ours_among_its_values() -> None:
    chinese, config = catalogue(), {"low": 0.0, "high": 1.0}
    told = errors.InputError(
        "{name} must be {what}, got {given}.",
        name="threshold", what=sentence("between {low:g} and {high:g}", **config), given=300,
    )  # fmt: skip
    assert str(told) == told.message == "threshold must be between 0 and 1, got 300."
    assert chinese.say(told.message) == "threshold 必须介于 0 和 1 之间，收到的是 300。"
    help = sentence("# Drop a photo here\nor click to choose. {help}", help=sentence("Seen from a car, by day"))
    assert chinese.say(help) == "# 将照片拖到此处\n或点击选择。白天从车内拍摄"
    fallback = sentence(
        "{label}: weights '{name}' have no '{missing}', so {side} ran with '{value}'.",
        label=sentence("Why"), name="satellite_amazon", missing=joined(["cars"]), side="B", value=joined(["off"]),
    )  # fmt: skip
    assert fallback == "Why: weights 'satellite_amazon' have no 'cars', so B ran with 'off'."
    assert chinese.say(fallback) == "判断依据：权重 satellite_amazon 没有“汽车”，因此 B 使用了“关闭”。"
    refused = unknown_option("show", "none", ["sky", "pole"])
    assert refused == "show: no option 'none'. Did you mean 'pole'? There are: 'sky', 'pole'."
    assert chinese.say(refused) == "show 没有选项 'none'。你是否想选 'pole'？可选的有：'sky', 'pole'。"
    assert chinese.say("an error that nobody has translated") == "an error that nobody has translated"
    assert texts.PLAIN.say("{count} live demos.", count=5) == "5 live demos."


def test_words_of_visitors_are_no_template_and_are_not_searched_for() -> None:
    hostile = "Why: weights 'a' have no 'Run', so B ran with '{name}'." * 2000
    told = sentence("{name} is empty: write a text.", name=hostile)
    assert catalogue().say(told) == f"{hostile} 为空：请填写文字。"  # also at once: 100 KB would take a pattern hours
    assert catalogue().say(hostile) == hostile
    assert catalogue().say(sentence("{name} is empty: write a text.", name="Run")) == "Run 为空：请填写文字。"


@pytest.mark.parametrize(
    "told",
    [
        sentence("plain"),
        sentence("seed {number}", number=5),
        sentence("{first} and {number} more", first=joined(["car", "{road}", "sky"]), number=2),
        sentence("{size:.1f} MB of {name!r} {{}}", size=2.25, name="'"),
        joined([]),
    ],
)
def test_a_sentence_comes_back_from_where_it_is_kept(told: Sentence) -> None:
    kept = [texts.unpacked(json.loads(json.dumps(texts.packed(told)))), pickle.loads(pickle.dumps(told)), copy(told)]  # noqa: S301 - our own
    kept += [texts.from_column(texts.to_column(told)), deepcopy(told)]
    assert {str(one) for one in kept} == {str(told)}
    assert {catalogue().say(one) for one in kept} == {catalogue().say(told)}
    nested = {"rows": [{"name": told, "number": 1}], "other": ["x"]}
    back = texts.restored(json.loads(json.dumps(nested)), texts.sentences_in(nested))
    assert back == nested
    assert catalogue().say(back["rows"][0]["name"]) == catalogue().say(told)


def test_a_page_brings_its_own_texts_which_do_not_change_the_hubs_and_a_broken_file_leaves_it_english(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / f"{CHINESE}.toml").write_text('[page]\n"Moss" = "苔藓"\n"Run" = "跑"\n', encoding="utf-8")
    (tmp_path / "b" / f"{CHINESE}.toml").write_text("Moss = 1", encoding="utf-8")
    chinese = texts.catalogues([tmp_path / "a", tmp_path / "b"])[CHINESE]
    assert (chinese.say("Moss"), chinese.say("Run")) == ("苔藓", "运行")
    assert str(tmp_path / "b") in caplog.text


# --- the catalogues and the code ------------------------------------------------------------------


def test_every_text_of_the_code_is_translated() -> None:
    known = catalogue().texts
    spoken = {text for path in code() for text in spoken_in(path)} | {text for _, text in declared()}
    spoken |= {error.title for error in all_errors()}
    assert (
        sorted(text for text in spoken if text not in known and re.search("[a-z]{2}", PLACEHOLDER.sub("", text))) == []
    )


def test_no_translation_is_of_a_text_that_the_code_does_not_have() -> None:
    said = {bare(text) for text in constants()}
    scripts = "\n".join(re.sub(r"\\(.)", r"\1", read(path)) for path in code() if path.suffix != ".py")
    assert sorted({key for _, key, _ in entries() if key not in said and key not in scripts}) == []


def test_every_error_is_a_template_of_ours_with_a_value_for_each_placeholder() -> None:
    """And so is every `sentence`: nobody would translate what an f-string made."""
    kinds, wrong, found = {error.__name__ for error in all_errors()}, list[str](), 0
    for path in code():
        for node in nodes(path) if path.suffix == ".py" else ():
            name = getattr(node.func, "id", getattr(node.func, "attr", "")) if isinstance(node, ast.Call) else ""
            if not isinstance(node, ast.Call) or not node.args or name not in kinds | {"sentence"}:
                continue
            found += 1
            values = {keyword.arg for keyword in node.keywords} - {"field", "retry_after_s", "allowed"}
            for text in templates(node.args[0]):
                asked = set(PLACEHOLDER.findall(bare(text or ""))) - {"subject", "style"}  # of a grid's own templates
                if None not in values and asked - values:
                    wrong.append(f"{path.name}:{node.lineno}: {text}")
            if isinstance(node.args[0], ast.JoinedStr):
                wrong.append(f"{path.name}:{node.lineno}: an f-string")
    assert wrong == []
    assert found > 300  # or it looks at the wrong places


def test_placeholders_agree_and_a_text_has_one_translation() -> None:
    wrong, first = list[str](), dict[str, str]()
    for file, key, translation in entries():
        names, translated = set(PLACEHOLDER.findall(key)), set(PLACEHOLDER.findall(translation))
        if not translated <= names or names - translated - {"s", "deed"}:  # a plural's, and words for who has a role
            wrong.append(f"{file}: {key}")
        if first.setdefault(key, translation) != translation:
            wrong.append(f"{file}: {key} is {first[key]} elsewhere")
    assert wrong == []


def catalogue() -> texts.Catalogue:
    return texts.catalogues(page.assets for page in discover())[CHINESE]


def test_a_template_and_its_translation_name_their_values_alike() -> None:
    """A text that is that of an entry but for the names of its values would stay English."""
    texts_of_code = {bare(text) for text in constants() if "{" in text}
    entry_by_words = {PLACEHOLDER.sub("{}", key): key for _, key, _ in entries() if PLACEHOLDER.search(key)}
    told = {text: entry_by_words.get(PLACEHOLDER.sub("{}", text), text) for text in texts_of_code}
    known = {key for _, key, _ in entries()}
    assert {text: key for text, key in told.items() if text != key and text not in known} == {}


def bare(template: str) -> str:
    """With placeholders as a Sentence has them: `{size:.1f}` and `{given!r}` are looked up as `{size}`, `{given}`."""
    return re.sub(r"\{(\w+)(?:![rs])?(?::[^{}]*)?\}", r"{\1}", template)


def templates(node: ast.expr) -> Iterator[str | None]:
    """The texts that an argument may be; None for what is not written there."""
    if isinstance(node, ast.IfExp):
        yield from (*templates(node.body), *templates(node.orelse))
    else:
        yield node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def entries() -> Iterator[tuple[str, str, str]]:
    """(file, English, translation) of all catalogues."""
    for file in FILES:
        for section in texts._parse(file).values():
            yield from ((str(file.relative_to(ROOT)), key, text) for key, text in section.items())


def code() -> list[Path]:
    files = [*ROOT.glob("hub/**/*.py"), *ROOT.glob("demos/*.py"), *ROOT.glob("hub/web/templates/**/*.*")]
    return [path for path in files if path.suffix in (".py", ".html", ".js")]


@cache
def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@cache
def nodes(path: Path) -> list[ast.Call | ast.Constant | ast.JoinedStr]:
    return [n for n in ast.walk(ast.parse(read(path))) if isinstance(n, ast.Call | ast.Constant | ast.JoinedStr)]


def spoken_in(path: Path) -> Iterator[str]:
    """The texts that are handed to `say` as they stand."""
    if path.suffix != ".py":
        for found in IN_SCRIPT.finditer(read(path)):
            yield from (re.sub(r"\\(.)", r"\1", text) for text in found.groups() if text)
        return
    for node in nodes(path):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in SPOKEN and node.args:
            choices = [node.args[0]]
            if isinstance(choices[0], ast.IfExp):
                choices = [choices[0].body, choices[0].orelse]
            yield from (one.value for one in choices if isinstance(one, ast.Constant) and isinstance(one.value, str))


def declared() -> Iterator[tuple[str, str]]:
    """What the declarations of the bundled pages say, and the names of their weights' classes."""
    for page in discover():
        demo: Demo = page.demo
        said = [demo.title, demo.summary, demo.task, demo.note, *(e.title for e in demo.examples), *demo.links]
        said += [w.title for w in demo.weights]
        for field in (*demo.inputs, *demo.outputs):
            said += [field.label, field.help, *(field.options if isinstance(field, Choice | Choices) else ())]
        for weights in demo.weights:
            said += rows_of_card((ROOT / "weights" / weights.name / "README.md").read_text(encoding="utf-8"))
        yield from ((page.slug, text) for text in said if text)


def all_errors() -> Iterator[type[errors.HubError]]:
    yield from (one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.HubError))


def constants() -> Iterator[str]:
    """Every text there is in Python, as it stands or as it is shown, and the class names of weights."""
    for path in code():
        for node in nodes(path) if path.suffix == ".py" else ():
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
                yield node.value.replace("_", " ")  # a column's name
                yield node.value.capitalize()  # a stage's name, an action's
    for path in ROOT.glob("weights/*/config.json"):
        yield from _texts_of(json.loads(path.read_text(encoding="utf-8")))
    for path in ROOT.glob("weights/*/README.md"):
        yield from _texts_of_card(path.read_text(encoding="utf-8"))


def _texts_of_card(text: str) -> Iterator[str]:
    """What a page shows of a card in few words."""
    _, head, card = text.split("---\n", 2)
    yield from (
        one["name"] for model in yaml.safe_load(head)["model-index"] for r in model["results"] for one in r["metrics"]
    )
    summary = summarise(MarkdownIt().enable("table"), card)
    yield from (summary.data, summary.limits, summary.chart.title if summary.chart else "", *rows_of_card(text))


def rows_of_card(text: str) -> list[str]:
    """What its small chart has bars for."""
    chart = summarise(MarkdownIt().enable("table"), text.split("---\n", 2)[2]).chart
    return [name for name, *_ in chart.rows] if chart else []


def _texts_of(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _texts_of(part)


def test_a_page_that_others_made_is_marked_with_its_language_and_tells_gradio() -> None:
    page = b'<!doctype html>\n<html\n\tlang="en"\n>\n\t<head><script>window.gradio_config = {};</script>'
    assert b'lang="zh-CN"' in mark_page(page, CHINESE)
    assert mark_page(page, CHINESE).index(b"navigator") < mark_page(page, CHINESE).index(b"gradio_config")
    assert b'lang="en"' in mark_page(page, ENGLISH)
    assert mark_page(b'<html lang="en"><body>', ENGLISH) == b'<html lang="en"><body>'
