"""A visitor whose line delivers late what the hub sent: nothing that was asked may stay without an answer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.e2e.visits import answered, open_page, visitor
from tests.served import Served

# Gradio tells an open page that its stream of answers ends. Here that arrives a second after the page's next question,
# or after three.
LATE = """(() => {
  const plain = window.fetch, held = new Set(), end = 'data: {"msg":"close_stream"';
  Object.assign(window, {asked: [], answered: '', heldBack: 0});
  window.fetch = async (...request) => {
    const address = String(request[0]?.url ?? request[0]), joins = address.includes('/queue/join');
    if (joins) for (const arrive of held) setTimeout(arrive, 1000);
    const answer = await plain(...request);
    if (joins) window.asked.push((await answer.clone().json()).event_id);
    if (!address.includes('/queue/data')) return answer;
    const bytes = new TextEncoder();
    const delayed = new TransformStream({
      async transform(text, out) {
        const at = text.indexOf(end), before = at < 0 ? text : text.slice(0, at);
        window.answered += before;
        if (before) out.enqueue(bytes.encode(before));
        if (at < 0) return;
        window.heldBack += 1;
        await new Promise((arrive) => { held.add(arrive); setTimeout(arrive, 3000); });
        out.enqueue(bytes.encode(text.slice(at)));
      },
    });
    return new Response(answer.body.pipeThrough(new TextDecoderStream()).pipeThrough(delayed), answer);
  };
})();"""
ALL_ANSWERED = """count => {
  const ends = new Set([...answered.matchAll(/"process_completed","event_id":"(\\w+)"/g)].map((found) => found[1]));
  return window.asked.length >= count && window.asked.every((one) => ends.has(one));
}"""


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = visitor(browser, [])
    page.add_init_script(LATE)
    yield page
    page.context.close()


@pytest.mark.slow
def test_what_is_asked_while_the_stream_of_answers_closes_is_answered(page: Page, hub: Served) -> None:
    open_page(page, f"{hub.url}/vehicle_classifier")
    answered(page, page.locator(".hub-examples button").nth(1).click)
    page.locator(".hub-examples button").nth(2).click()
    page.wait_for_function(ALL_ANSWERED, arg=5, timeout=60_000)  # opening, two runs, similar pictures of each
    assert page.evaluate("heldBack") > 0
