"""Experts vote in a browser by keyboard alone, while the server is killed; nothing is lost."""

from __future__ import annotations

import csv
import json
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Request, expect, sync_playwright

from atypia.apps.vote.pages import make_offline_page
from atypia.data.readers.open_figures import open_figures
from atypia.data.table import FigureTable
from atypia.study.answers import ANSWERS, differ
from atypia.study.create import create_study
from atypia.study.export import export
from atypia.study.sheets import collect
from atypia.study.study import Study

from .conftest import EXPERTS, Server

KEYS = dict(zip(ANSWERS, "1234", strict=True))
SHOWN = "document.documentElement.dataset.shown"
SERIOUS = ("serious", "critical")
SHARED_DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
expect.set_options(timeout=60_000)  # a busy machine is slow, and no figure is measured here


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    as_root = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=as_root)
        yield browser
        browser.close()


def open_page(browser: Browser, address: str, *, seen: bool = True) -> Page:
    """Open a page in a profile of its own; with `seen`, close the first visit's explanation."""
    page = browser.new_context(viewport={"width": 1024, "height": 700}).new_page()
    page.set_default_timeout(60_000)
    page.goto(address)
    if seen:
        expect(page.locator("#begin")).to_be_focused()
        page.keyboard.press("Enter")
    return page


def wait_until(page: Page, condition: str) -> None:
    """Wait until an expression holds; the page's policy lets no test wait inside it."""
    for _ in range(2400):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(25)
    raise AssertionError(f"{condition} does not hold; the page shows {page.inner_text('body')}")


def wait_for_next(page: Page, before: str | None) -> str:
    """Wait until another figure is shown; return its id, "" at the end."""
    wait_until(page, f"{SHOWN} !== undefined && {SHOWN} !== {json.dumps(before)}")
    return str(page.evaluate(SHOWN))


def wait_until_saved(page: Page) -> None:
    """Wait until the server has acknowledged every vote."""
    wait_until(
        page,
        "Object.keys(localStorage).filter(k => k.endsWith('/pending'))"
        ".every(k => localStorage[k] === '[]')",
    )


def answer_of(showing: str, expert: str) -> str:
    """What an expert says of a place: a different mixture each, decided by its id."""
    draw = int(showing[:8], 16) % 100
    shares = {"anna": (30, 85, 93), "ben": (25, 90, 96), "eva": (50, 95, 98)}[expert]
    return ANSWERS[sum(draw >= share for share in shares)]


def end_part(page: Page) -> None:
    expect(page.locator("#end-title")).to_be_focused()
    wait_until_saved(page)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#end-title")).to_have_text("Thank you")


def vote_singly(page: Page, expert: str, meanwhile: Callable[[int], None]) -> dict[str, str]:
    """Vote on all figures one by one, with an undo now and then; return what was said."""
    said: dict[str, str] = {}
    shown = wait_for_next(page, None)
    while shown:
        meanwhile(len(said))
        if len(said) % 13 == 5:  # the wrong key, and back
            page.keyboard.press("4")
            wait_for_next(page, shown)
            page.keyboard.press("Backspace")
            wait_until(page, f"{SHOWN} === {json.dumps(shown)}")
        said[shown] = answer_of(shown, expert)
        page.keyboard.press(KEYS[said[shown]])
        shown = wait_for_next(page, shown)
    return said


def vote_in_grids(page: Page, expert: str) -> dict[str, str]:
    """Vote on all figures in screens of twelve, by keys; return what was said."""
    said: dict[str, str] = {}
    page.keyboard.press("g")
    shown = wait_for_next(page, None)
    while shown:
        page.wait_for_selector("#cells button")
        wait_until_saved(page)
        queue = page.evaluate("fetch('next?count=12').then(r => r.json())")["next"]
        assert page.locator("#cells button").count() == len(queue)
        for item in queue:
            said[item["id"]] = answer_of(item["id"], expert)
            page.keyboard.press(KEYS[said[item["id"]]])
        page.keyboard.press("Enter")
        shown = wait_for_next(page, shown)
    return said


@pytest.fixture
def figures(cohort: FigureTable) -> FigureTable:
    """Sixty real figures, where they lie beside the project; else phantoms."""
    if not (SHARED_DATA / "ami-br" / "AMI-BR.csv").is_file():
        return cohort
    table = open_figures(SHARED_DATA / "ami-br")
    rows = np.random.default_rng(0).permutation(len(table))[:60]
    return FigureTable(table.frame.iloc[np.sort(rows)].reset_index(drop=True), table.root)


def test_three_experts_vote_by_keyboard_while_the_server_dies(
    browser: Browser, serve: Callable[..., Server], figures: FigureTable, tmp_path: Path
) -> None:
    folder = tmp_path / "study"
    create_study(figures, folder, EXPERTS)
    server = serve(folder)
    finished: list[Request] = []
    bodies: list[bytes] = []

    def keep(request: Request) -> None:
        finished.append(request)

    def keep_bodies() -> None:
        while finished:
            response = finished.pop().response()
            assert response is not None
            bodies.append(response.body())

    moments = set(np.random.default_rng(1).permutation(65)[:10])

    def kill_now_and_then(done: int) -> None:
        keep_bodies()
        if done in moments:
            moments.discard(done)
            server.kill()
            server.start()

    anna = open_page(browser, server.links["anna"])
    anna.on("requestfinished", keep)
    said = {"anna": vote_singly(anna, "anna", kill_now_and_then)}
    assert not moments
    end_part(anna)
    ben = open_page(browser, server.links["ben"])
    ben.on("requestfinished", keep)
    eva = open_page(browser, server.links["eva"])
    expect(eva.locator("#end-title")).to_have_text("Not yet")
    said["ben"] = vote_in_grids(ben, "ben")
    end_part(ben)
    keep_bodies()
    assert len(bodies) > 140
    eva.reload()
    said["eva"] = vote_singly(eva, "eva", lambda done: None)
    end_part(eva)
    lead = open_page(browser, server.links["lead"], seen=False)
    lead.locator("#close").press("Enter")
    lead.locator("#sure button.main").press("Enter")
    expect(lead.locator("#over")).to_be_visible()

    done = export(Study(folder), tmp_path / "voted" / "figures.csv")
    rows = list(csv.DictReader((tmp_path / "voted" / "votes.csv").open()))
    standing = [row for row in rows if not row["undone"]]
    for expert, answers in said.items():
        mine = {row["showing"]: row["answer"] for row in standing if row["expert"] == expert}
        assert mine == answers
    assert max(Counter((row["expert"], row["showing"]) for row in standing).values()) == 1
    assert sum(bool(row["undone"]) for row in rows) >= 5
    first = [
        {
            row["figure_id"]: row["answer"]
            for row in standing
            if row["expert"] == name and row["repeat"] == "False"
        }
        for name in EXPERTS
    ]
    split = {figure for figure in first[0] if differ(first[0][figure], first[1][figure])}  # type: ignore[arg-type]
    assert split <= set(first[2])
    assert len(first[2]) - len(split) == round(len(split) / 4)
    assert len(open_figures(done.files[0])) == done.figures == 60 - len(done.none)

    sent = b"\0".join(bodies)
    frame = figures.frame
    for column in ("figure_id", "slide", "case", "tumour", "scanner", "laboratory"):
        for secret in {str(value) for value in frame[column]} - {"", "unknown"}:
            if len(secret) > 4:
                assert secret.encode() not in sent, secret
    for path in figures.image_paths():
        assert path.name.encode() not in sent
        assert path.read_bytes()[60:100] not in sent


def test_two_tabs_and_a_reload_agree_on_where_an_expert_stands(
    browser: Browser, serve: Callable[..., Server], cohort: FigureTable, tmp_path: Path
) -> None:
    create_study(cohort, tmp_path / "study", ["anna"], rule="all")
    server = serve(tmp_path / "study")
    first = open_page(browser, server.links["anna"])
    shown = wait_for_next(first, None)
    second = first.context.new_page()
    second.goto(server.links["anna"])
    assert wait_for_next(second, None) == shown
    first.keyboard.press("1")
    after = wait_for_next(first, shown)
    wait_until_saved(first)
    second.keyboard.press("2")  # on a figure that the first tab has voted on
    expect(second.locator("#saving")).to_contain_text("has voted elsewhere since")
    wait_until(second, f"{SHOWN} === {json.dumps(after)}")
    second.keyboard.press("2")
    third = wait_for_next(second, after)
    wait_until_saved(second)
    first.reload()
    assert wait_for_next(first, None) == third
    votes = Study(tmp_path / "study").store.votes()
    assert [(vote.showing, vote.answer) for vote in votes] == [
        (shown, "atypical"),
        (after, "normal"),
    ]


def test_votes_wait_for_a_server_that_is_gone_even_over_a_reload(
    browser: Browser, serve: Callable[..., Server], cohort: FigureTable, tmp_path: Path
) -> None:
    create_study(cohort, tmp_path / "study", ["anna"], rule="all")
    server = serve(tmp_path / "study")
    page = open_page(browser, server.links["anna"])
    page.on("dialog", lambda dialog: dialog.accept())
    shown = wait_for_next(page, None)
    page.wait_for_load_state("networkidle")  # the next pictures are here
    os.kill(server.pid, signal.SIGSTOP)
    page.keyboard.press("1")
    other = wait_for_next(page, shown)  # decoded before, so it is shown at once
    page.keyboard.press("2")
    wait_for_next(page, other)
    server.kill()
    expect(page.locator("#saving")).to_contain_text("Not saved yet, trying again: 2")
    server.start()
    page.reload()
    wait_until_saved(page)
    votes = Study(tmp_path / "study").store.votes()
    assert {vote.showing: vote.answer for vote in votes} == {shown: "atypical", other: "normal"}


@pytest.mark.parametrize("grid", [False, True])
def test_a_picture_that_does_not_come_is_not_voted_on(
    browser: Browser, serve: Callable[..., Server], cohort: FigureTable, tmp_path: Path, grid: bool
) -> None:
    study = create_study(cohort, tmp_path / "study", ["anna"], rule="all").study
    server = serve(tmp_path / "study")
    queue = [one.id for one in study.queue("anna")]
    page = open_page(browser, server.links["anna"])
    shown = wait_for_next(page, None)
    page.route(f"**/picture/{queue[14]}*", lambda route: route.abort())
    if grid:
        page.keyboard.press("g")
        page.wait_for_selector("#cells button")
        page.keyboard.press("r")
        page.keyboard.press("Enter")
    else:
        for _ in range(13):
            page.keyboard.press("2")
            shown = wait_for_next(page, shown)
        page.keyboard.press("2")
    expect(page.locator("#saving")).to_contain_text("A picture cannot be loaded")
    page.keyboard.press("2")
    page.unroute(f"**/picture/{queue[14]}*")
    wait_until(page, f"{SHOWN} === {json.dumps(queue[12 if grid else 14])}")
    expect(page.locator("#saving")).to_have_text("")
    wait_until_saved(page)
    assert study.count_voted("anna") == (12 if grid else 14)


def test_the_file_gives_what_the_served_page_gives_and_asks_for_nothing(
    browser: Browser, serve: Callable[..., Server], cohort: FigureTable, tmp_path: Path
) -> None:
    study = create_study(cohort, tmp_path / "filed", ["anna"], rule="all").study
    file = tmp_path / "anna.html"
    file.write_text(make_offline_page(study, "anna"), encoding="utf-8")
    requests: list[str] = []
    page = browser.new_context().new_page()
    page.on("request", lambda request: requests.append(request.url))
    page.goto(file.as_uri())
    page.keyboard.press("Enter")
    said: dict[str, str] = {}
    shown, undone = wait_for_next(page, None), False
    while shown:
        said[shown] = answer_of(shown, "anna")
        page.keyboard.press(KEYS[said[shown]])
        shown = wait_for_next(page, shown)
        if len(said) == 30 and not undone:
            undone = True
            page.keyboard.press("Backspace")
            shown = wait_for_next(page, shown)
            page.reload()
            assert wait_for_next(page, None) == shown  # votes are kept
    with page.expect_download() as download:
        end = page.locator("#lock")
        end.press("Enter")
    sheet = tmp_path / "anna.json"
    download.value.save_as(sheet)
    assert [url for url in requests if not url.startswith(("file:", "data:", "blob:"))] == []
    done = collect(study, sheet)
    assert (done.new, done.known, done.locked) == (70, 0, True)
    assert collect(study, sheet).known == 70
    study.close()
    export(study, tmp_path / "out" / "filed.csv")

    served = create_study(cohort, tmp_path / "served", ["anna"], rule="all").study
    by_figure = {study.showing("anna", one).figure: answer for one, answer in said.items()}
    answers = study.answers("anna")
    server = serve(tmp_path / "served")
    page = open_page(browser, server.links["anna"])
    shown = wait_for_next(page, None)
    while shown:
        figure = served.showing("anna", shown).figure
        page.keyboard.press(KEYS[answers.get(figure, by_figure[figure])])
        shown = wait_for_next(page, shown)
    wait_until_saved(page)
    served.close(now=True)
    export(served, tmp_path / "out2" / "served.csv")
    one, other = (
        pd.read_csv(tmp_path / name).drop(columns="image")
        for name in ("out/filed.csv", "out2/served.csv")
    )
    pd.testing.assert_frame_equal(one, other)


def find_faults(page: Page) -> list[str]:
    """Return what axe finds that is serious."""
    results = Axe().run(page)
    found = [fault for fault in results.response["violations"] if fault["impact"] in SERIOUS]
    return [f"{fault['id']}: {fault['nodes'][0]['html']}" for fault in found]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_have_no_serious_fault_for_those_who_see_badly(
    browser: Browser, serve: Callable[..., Server], cohort: FigureTable, tmp_path: Path, scheme: str
) -> None:
    create_study(cohort, tmp_path / "study", ["anna", "ben"], rule="all")
    server = serve(tmp_path / "study")
    context = browser.new_context(color_scheme=scheme, bypass_csp=True)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(server.links["anna"])
    expect(page.locator("#begin")).to_be_focused()
    assert find_faults(page) == []
    page.keyboard.press("Enter")
    wait_for_next(page, None)
    assert find_faults(page) == []
    page.keyboard.press("g")
    page.wait_for_selector("#cells button")
    page.keyboard.press("1")
    assert find_faults(page) == []
    page.goto(server.links["lead"])
    page.wait_for_selector("#parts tr")
    assert find_faults(page) == []
    Study(tmp_path / "study").close(now=True)
    page.goto(f"{server.links['lead']}agreement")
    assert find_faults(page) == []
    page.goto(server.links["anna"])
    expect(page.locator("#end-title")).to_have_text("Thank you")
    assert find_faults(page) == []


def test_the_keyboard_reaches_everything_in_the_order_of_the_page(
    browser: Browser, serve: Callable[..., Server], cohort: FigureTable, tmp_path: Path
) -> None:
    wide = FigureTable(cohort.frame.assign(mpp=0.5), cohort.root)
    create_study(wide, tmp_path / "study", ["anna"], rule="all", asks_detail=True)
    server = serve(tmp_path / "study")
    page = open_page(browser, server.links["anna"])
    shown = wait_for_next(page, None)
    reached = []
    focused = "document.activeElement.id || document.activeElement.textContent"
    for _ in range(11):
        page.keyboard.press("Tab")
        reached.append(page.evaluate(focused))
    assert reached == [
        *("single", "grid", "count", "help", "closer", "further"),
        *("Atypical 1", "Normal 2", "No mitotic figure 3", "Cannot tell 4", "undo"),
    ]
    outline = page.evaluate(
        "(() => { const b = document.querySelector('#answers button'); b.focus();"
        " return getComputedStyle(b).outlineStyle; })()"
    )
    assert outline == "solid"
    page.keyboard.press("1")  # asks for the kind
    expect(page.locator("#details button").first).to_be_focused()
    page.keyboard.press("Backspace")  # back, without a vote
    expect(page.locator("#answers")).to_be_visible()
    page.keyboard.press("1")
    page.keyboard.press("2")
    wait_for_next(page, shown)
    wait_until_saved(page)
    (vote,) = Study(tmp_path / "study").store.votes()
    assert (vote.answer, vote.detail) == ("atypical", "asymmetrical")
    page.keyboard.press("h")
    expect(page.locator("#begin")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#intro")).to_be_hidden()


@pytest.mark.parametrize("grid", [False, True])
def test_everything_can_be_reached_at_200_percent_and_in_a_small_window(
    browser: Browser, serve: Callable[..., Server], cohort: FigureTable, tmp_path: Path, grid: bool
) -> None:
    create_study(cohort, tmp_path / "study", ["anna"], rule="all")
    server = serve(tmp_path / "study")
    page = open_page(browser, server.links["anna"])
    wait_for_next(page, None)
    if grid:
        page.keyboard.press("g")
        page.wait_for_selector("#cells button")
    else:  # at 1024 x 700 nothing of the single view needs scrolling
        height = page.evaluate("document.querySelector('#undo').getBoundingClientRect().bottom")
        assert height <= 700
    page.set_viewport_size({"width": 512, "height": 350})  # what 200 % leaves of 1024 x 700
    widths = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert widths[0] <= widths[1]
    for button in page.locator("button:visible").all():
        box = button.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 512
        assert box["height"] >= 24


def test_digits_work_on_french_and_german_keyboards_and_the_wheel_zooms(
    browser: Browser, serve: Callable[..., Server], cohort: FigureTable, tmp_path: Path
) -> None:
    wide = cohort.frame.assign(mpp=0.5)  # an image of 48 um
    create_study(FigureTable(wide, cohort.root), tmp_path / "study", ["anna"], rule="all")
    server = serve(tmp_path / "study")
    page = open_page(browser, server.links["anna"])
    shown = wait_for_next(page, None)
    expect(page.locator("#side")).to_have_text("32 µm")
    page.hover("#stage")
    page.mouse.wheel(0, 100)
    expect(page.locator("#side")).to_have_text("48 µm")
    expect(page.locator("#further")).to_be_disabled()
    page.keyboard.press("+")
    expect(page.locator("#side")).to_have_text("32 µm")
    for key, code in (("&", "Digit1"), ("é", "Digit2"), ("3", "Numpad3")):
        event = json.dumps({"key": key, "code": code, "bubbles": True})
        page.evaluate(f"document.body.dispatchEvent(new KeyboardEvent('keydown', {event}))")
        shown = wait_for_next(page, shown)
    wait_until_saved(page)
    votes = Study(tmp_path / "study").store.votes()
    assert [vote.answer for vote in votes] == ["atypical", "normal", "none"]
