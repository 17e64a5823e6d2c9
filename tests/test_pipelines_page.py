"""The report's page as text: what it says, what it escapes, and how large it grows."""

import base64
import dataclasses
import hashlib
import html
import html.parser
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.manifest import Utterance
from asr.text import TextOptions
from pipelines import page as page_module
from pipelines.baseline import read_baseline
from pipelines.calibration import acceptance, calibrate
from pipelines.evaluate import evaluate
from pipelines.evaluation import Evaluation
from pipelines.evidence import Evidence
from pipelines.examples import Example, make_clip
from pipelines.figures import headline, slice_tables
from pipelines.page import MAX_BYTES, MAX_ROWS, render_page
from pipelines.provenance import Provenance, read_card
from pipelines.report import write_report
from pipelines.rows import MAX_CELLS
from pipelines.suspects import Suspect

SCRIPT = "<script>alert('x')</script>"
BREAKERS = (
    SCRIPT,
    "</script><img src=x onerror=alert('x')>",
    '"><svg onload=alert(1)>',
    "' onmouseover='alert(1)",
    "</style><!--",
    "{{ 7 * 7 }}{% raw %}",
    "javascript:alert(1)",
)
VOID = {"meta", "br", "img", "input"}
ON_PURPOSE = {"src", "href"}
KEEP = TextOptions(case="keep", punctuation="keep")


class PageReader(html.parser.HTMLParser):
    """Collects tags, attributes and the text between them; refuses what is not closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.stack: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.texts: list[str] = []
        self.feed(page)
        assert self.stack == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.stack and self.stack[-1] not in ("script", "style"):
            self.texts.append(data)

    def text(self) -> str:
        return " ".join("".join(self.texts).split())


def utterance(key: str, text: str, **more: object) -> Utterance:
    fields = {"audio": Path(f"{key}.wav"), "duration_s": 1.5, **more}
    return Utterance(id=key, text=text, **fields)  # type: ignore[arg-type]


def evaluation(*pairs: tuple[str, str, str], **more: object) -> Evaluation:
    references = [utterance(key, reference) for key, reference, _ in pairs]
    hypotheses = {key: hypothesis for key, _, hypothesis in pairs}
    return evaluate(references, hypotheses, text=TextOptions(), **more)  # type: ignore[arg-type]


def body(page: str) -> str:
    """The page without its style sheet and script, which hold words of their own."""
    return re.sub(r"<(style|script)>.*?</\1>", "", page, flags=re.DOTALL)


def full(found: Evaluation, text: str = "text") -> tuple[Evaluation, Evidence]:
    """The evaluation and its evidence with all a page can show, a text wherever one can be."""
    row = found.score.rows[0]
    clip = make_clip(np.sin(np.arange(8_000, dtype=np.float32)))
    confidences = {row.id: [0.5] * len(row.hypothesis.split())}
    analysis = dataclasses.replace(
        found.analysis,
        calibration=calibrate(found.score.rows, confidences),
        accepted=tuple(acceptance(found.score.rows, confidences)),
    )
    evaluation = dataclasses.replace(
        found,
        analysis=analysis,
        confidences=confidences,
        suspects=(Suspect(row=row, loss=3.0, heard_loss=None, usual_loss=0.5),),
    )
    evidence = Evidence(
        examples=(Example(group="worst", row=row, clip=clip),),
        provenance=Provenance(
            card=read_card(f"# {text}\n\n| a | {text} |\n\n{text} `{text}`"),
            history=({"epoch": 1.0, "loss": 2.0, "dev_loss": 1.0, "dev_wer": 0.5, "dev_cer": 0.2},),
        ),
    )
    return evaluation, evidence


def test_page_is_sound_and_asks_the_network_for_nothing() -> None:
    pairs = [("a", "one two three", "one too three four"), ("b", "", ""), ("c", "x", "")]
    found = evaluation(*pairs, failures={"c": "gone"}, audio_s=7200.0, compute_s=60.0)
    for page in (render_page(found), render_page(*full(found))):
        reader = PageReader(page)
        assert not {"link", "iframe", "object", "base"} & set(reader.tags)
        addresses = [value for name, value in reader.attributes if name in ON_PURPOSE]
        assert all(value.startswith(("#", "data:image/", "data:audio/")) for value in addresses)
        assert not [name for name, _ in reader.attributes if name.startswith("on")]
        assert "url(" not in page
        assert "@import" not in page
        assert "prefers-color-scheme: dark" in page


def test_only_the_pages_own_script_may_run() -> None:
    page = render_page(evaluation(("a", "x", "y")))
    (script,) = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    rules = dict(rule.strip().partition(" ")[::2] for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    # Escaped as an attribute, since base64 has a plus sign.
    assert html.unescape(rules["script-src"]) == f"'sha256-{digest}'"


def test_links_within_the_page_lead_somewhere() -> None:
    found = evaluation(("a", "one two", "one too"), ("b", "x", ""), failures={"b": "gone"})
    for page in (render_page(found), render_page(*full(found))):
        reader = PageReader(page)
        names = {value for name, value in reader.attributes if name == "id"}
        links = {value[1:] for name, value in reader.attributes if name == "href"}
        assert links <= names
        assert "utterances" in links


def harmless(text: str) -> str:
    """A text of as many words, the same ones alike, with nothing in them but letters."""
    words = list(dict.fromkeys(text.split()))
    return " ".join("abcdefgh"[words.index(word)] for word in text.split())


@pytest.mark.parametrize("heard", ["heard {}", "said {} here {}", ""])
@pytest.mark.parametrize("text", BREAKERS)
def test_page_escapes_all_that_comes_from_outside(text: str, heard: str) -> None:
    def read(text: str) -> PageReader:
        items = [
            utterance(text, f"said {text} here", speaker=text, extra={"accent": text}),
            utterance("~", f"said {text} here", extra={"accent": "~"}),  # last in any order
        ]
        found = evaluate(
            items,
            {item.id: heard.replace("{}", text) for item in items},
            text=KEEP,
            failures={text: text},
            source=text,
            reference_source=text,
        )
        return PageReader(render_page(*full(found, text)))

    reader = read(text)
    assert reader.tags == read(harmless(text)).tags
    assert reader.tags.count("script") == 1
    assert not [name for name, _ in reader.attributes if name.startswith("on")]
    # As it stands, and many times: nothing has been swallowed or run as a template.
    assert reader.text().count(text) >= 10


@settings(max_examples=25, deadline=None)
@given(
    st.text(alphabet=st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=30),
    st.text(alphabet="<>&\"'`=/!-{}%# \n\0scriptonload", min_size=1, max_size=40),
)
def test_no_text_changes_the_pages_build(name: str, text: str) -> None:
    def tags(name: str, text: str) -> list[str]:
        items = [utterance(name, "one two", speaker=name), utterance(f"{name}2", "x y")]
        heard = {item.id: "other words" for item in items}
        found = evaluate(items, heard, text=KEEP, source=f"s{text}", failures={name: text})
        return PageReader(render_page(found)).tags

    assert tags(name, text) == tags("n", "t")


def test_page_colours_errors_by_kind() -> None:
    page = render_page(evaluation(("a", "one two three", "one too three four"), ("b", "x", "")))
    assert '<span class="swap"><del>two</del><ins>too</ins></span> three <ins>four</ins>' in page
    assert "<del>x</del>" in page
    assert "nothing recognised" in page


def test_page_shows_figures() -> None:
    page = render_page(evaluation(("a", "a b c", "a x"), audio_s=7200.0, compute_s=60.0))
    text = PageReader(page).text()
    assert "66.67%" in text
    assert "About 7 errors in every 10 words" in text
    assert "%WER 66.67 [ 2 / 3, 0 ins, 1 del, 1 sub ]" in text
    assert "120×" in text
    assert "2:00:00 of audio" in text
    assert 'style="width:33.333%"' in page


@pytest.mark.parametrize(
    ("model", "title"),
    [("demo/run/model", "demo/run"), ("/x/demo/run", "demo/run"), ("runs/mine/model", "mine")],
)
def test_a_model_is_called_by_what_tells_it_from_others(model: str, title: str) -> None:
    page = render_page(evaluation(("a", "x", "x"), model=model))
    assert f"<h1><bdi>{title}</bdi></h1>" in page


def test_sections_without_data_are_absent() -> None:
    page = body(render_page(evaluation(("a", "x", "y"))))
    for name in ("slices", "confidence", "examples", "references", "model", "change", "failures"):
        assert f'id="{name}"' not in page
        assert f'href="#{name}"' not in page
    right = body(render_page(evaluation(("a", "x", "x"), ("b", "y", "y"))))
    assert 'id="mistakes"' not in right
    assert "No errors at all" in right


def test_sections_with_data_are_there() -> None:
    found = evaluation(("a", "one two", "one too"))
    page = body(render_page(*full(found)))
    for name in ("confidence", "examples", "references", "model"):
        assert f'id="{name}"' in page
    assert "expected calibration error" in page
    assert "<audio controls" in page


def test_finished_transcripts_show_how_sure_their_words_were() -> None:
    found = evaluation(("a", "one two", "one too"), confidences={"a": [0.9, 0.4]})
    clip = make_clip(np.sin(np.arange(8_000, dtype=np.float32)))
    example = Example(group="worst", row=found.score.rows[0], clip=clip)
    page = body(render_page(found, Evidence(examples=(example,))))
    assert '<span class="word" title="90 % sure"' in page
    assert '<span class="word wrong" title="40 % sure"' in page
    assert "data-start" not in page
    silent = render_page(evaluation(("a", "one two", "one too")), Evidence(examples=(example,)))
    assert 'class="heard"' not in body(silent)


def luminance(colour: str) -> float:
    """Relative luminance of `#rrggbb` (WCAG 2.2)."""
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1])
def test_every_text_stands_out_from_its_ground(scheme: int) -> None:
    """At least 4.5 to 1, as WCAG asks of text, in the light and in the dark."""
    style = (Path(page_module.__file__).parent / "templates" / "report.css").read_text("utf-8")
    rules = re.findall(r":root \{(.*?)\}", style, flags=re.DOTALL)
    assert len(rules) == 2
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", rules[scheme]))
    pairs = [(text, ground) for text in ("ink", "soft", "accent") for ground in ("page", "card")]
    pairs += [(kind, f"{kind}-wash") for kind in ("substitute", "delete", "insert")]
    pairs += [(kind, ground) for kind in ("substitute", "delete") for ground in ("card", "wash")]
    pairs += [("ink", "wash"), ("soft", "wash")]
    for text, ground in pairs:
        light, dark = sorted((luminance(colours[text]), luminance(colours[ground])), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (text, ground)


def test_what_changed_is_shown_with_its_words(tmp_path: Path) -> None:
    before = evaluation(("a", "one two", "one too"), ("b", "x y", "x y"), ("c", "z", "z"))
    write_report(before, tmp_path)
    now = evaluation(
        ("a", "one two", "one two"),
        ("b", "x y", "x"),
        ("c", "z", "z"),
        baseline=read_baseline(tmp_path),
    )
    page = body(render_page(now))
    (section,) = re.findall(r'<section id="change">.*?</section>', page, flags=re.DOTALL)
    worse, better = section.split("Most improved")
    assert "Most worsened" in worse
    assert "<del>y</del>" in worse
    assert "one two" in better
    assert ">c<" not in section  # as right as before


def test_few_words_are_not_cut_by_their_marks() -> None:
    words = [f"w{n}" for n in range(MAX_CELLS + 5)]
    heard = " ".join(f"h{n}" for n in range(len(words)))
    for size, cut in ((MAX_CELLS, False), (MAX_CELLS + 5, True)):
        said = " ".join(words[:size])
        page = body(render_page(evaluation(("a", said, " ".join(heard.split()[:size])))))
        assert ("and so on" in page) == cut
        assert f"<ins>h{MAX_CELLS - 1}</ins>" in page
        assert f"<ins>h{MAX_CELLS}</ins>" not in page.partition('id="utterances"')[2]


def test_page_caps_its_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.page.MAX_ROWS", 3)
    page = render_page(evaluation(*[(f"u{n}", "x", "y") for n in range(5)]))
    assert page.count("data-duration") == 3
    assert "The 3 worst of 5" in page
    assert MAX_ROWS == 1_000


@pytest.mark.parametrize("letter", ["a", "é", "好", "<", "😀"])
def test_page_stays_below_its_size_whatever_is_in_it(letter: str) -> None:
    word = letter * 12
    pairs = [(f"{word}{n}", f"{word} " * 120, f"b{word} " * 130) for n in range(200)]
    found = evaluation(*pairs, failures={f"{word}{n}": word * 50 for n in range(2000)})
    assert len(render_page(found).encode()) < MAX_BYTES
    keys = {f"{word}{n}": f"{word}{n % 9}" for n in range(60)}
    items = [
        utterance(f"u{n}", "a b", extra={k: f"{v}{n % 40}" for k, v in keys.items()})
        for n in range(100)
    ]
    cut = evaluate(items, {item.id: "x" for item in items}, text=TextOptions())
    assert len(render_page(cut).encode()) < MAX_BYTES
    hours = evaluation(("long", f"{word} " * 9_000, "no"), ("one", letter * 200_000, "x"))
    assert len(render_page(hours).encode()) < MAX_BYTES


@pytest.mark.parametrize(
    ("rate", "words"),
    [
        (0.0, "No errors at all"),
        (0.004, "About 1 error in every 250 words"),
        (0.021, "About 1 error in every 50 words"),
        (0.084, "About 1 error in every 12 words"),
        (0.33, "About 1 error in every 3 words"),
        (0.68, "About 7 errors in every 10 words"),
        (1.0, "As many errors as words"),
        (2.5, "More errors than words"),
    ],
)
def test_headline_needs_no_explanation(rate: float, words: str) -> None:
    assert headline(rate) == words


def test_slices_share_one_scale_and_small_ones_have_no_bar() -> None:
    items = [
        utterance(f"u{n}", "a b c d e f g h i j", speaker="mary" if n < 40 else "tom")
        for n in range(44)
    ]
    heard = {item.id: "a b c d e" if n % 2 else item.text for n, item in enumerate(items)}
    found = evaluate(items, heard, text=TextOptions())  # type: ignore[arg-type]
    tables, top = slice_tables(found.analysis.slices, wer=found.score.wer)
    (table,) = (table for table in tables if table.dimension == "speaker")
    assert [part.label for part in table.slices] == ["mary", "tom"]
    mary, tom = table.spans
    assert tom is None
    assert mary is not None
    assert mary.at == pytest.approx(100 * 0.25 / top)
    assert mary.low < mary.at < mary.high <= 100
    page = render_page(found)
    assert "too small" in page
