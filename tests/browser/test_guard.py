"""In a real browser: pages load nothing from elsewhere, and hostile names stay text on every page."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from launch import serve
from playwright.sync_api import Browser, Page, expect

from explorer import catalogue, data, onefile, packing
from explorer.checkpoints import PRETRAINED
from explorer.markdown import JOINER
from tests.browser.conftest import OpenPage
from tests.browser.stage import another_origin
from tests.damage import unsealed
from tests.test_guard import HOSTILE

pytestmark = pytest.mark.browser
SLOW = 60_000
# In the page and all shadow roots: what leads elsewhere, runs, or was made of a hostile name.
FOUND = """() => {
    const below = (one) => (one.shadowRoot ? all(one.shadowRoot) : []);
    const all = (root) => [...root.querySelectorAll('*')].flatMap((one) => [one, ...below(one)]);
    const outside = (address) => {
        const { protocol, origin } = new URL(address, document.baseURI);
        return !['blob:', 'data:'].includes(protocol) && origin !== location.origin;
    };
    const leads = (one) => ['href', 'src', 'xlink:href'].map((name) => one.getAttribute(name)).filter(Boolean);
    return all(document).filter((one) => leads(one).some(outside)
        || [...one.attributes].some(({ name }) => /^on/.test(name)) || one.matches('.hacked, .katex, img[src="x"]'))
        .map((one) => one.outerHTML.slice(0, 200));
}"""
# Tries to load or send something in each way a page has; says what was refused. elsewhere: another origin's address.
TRY = """async (elsewhere) => {
    const refused = new Set();
    document.addEventListener('securitypolicyviolation', (event) => refused.add(event.effectiveDirective));
    const put = (tag, has, into = document.body) => into.append(Object.assign(document.createElement(tag), has));
    put('script', { src: `${elsewhere}script.js` });
    put('script', { textContent: 'window.hacked = 1' });
    put('img', { src: `${elsewhere}image.png` });
    put('link', { rel: 'stylesheet', href: `${elsewhere}style.css` }, document.head);
    put('iframe', { src: `${elsewhere}frame` });
    put('object', { data: `${elsewhere}object`, type: 'text/html' });
    put('base', { href: elsewhere }, document.head);
    put('video', { src: `${elsewhere}film.mp4` });
    const font = new FontFace('f', `url(${elsewhere}font.woff2)`);
    const tries = [fetch(elsewhere), font.load(), import(`${elsewhere}module.js`),
        new Promise((done) => { new WebSocket(elsewhere.replace('http', 'ws')).onerror = done; }),
        navigator.sendBeacon(`${elsewhere}beacon`)];
    await Promise.allSettled(tries);
    try { (0, eval)('window.hacked = 2'); } catch { refused.add('eval'); }
    try { new Worker(`${elsewhere}worker.js`); } catch { refused.add('worker'); }
    await new Promise((done) => setTimeout(done, 300));
    return { refused: [...refused], hacked: window.hacked ?? null, base: document.baseURI };
}"""


@pytest.mark.parametrize("where", ["the app", "the one file"])
def test_a_script_on_a_page_gets_nothing_from_elsewhere_and_sends_nothing_there(
    open_page: OpenPage, tmp_path: Path, where: str
) -> None:
    path = tmp_path / "view.html"
    if where == "the one file":
        models = catalogue.shipped()
        path.write_bytes(onefile.one_file(models.entries[0], models.entries[1], models=models, titles=data.titles()))
    page = open_page(**{"address": tmp_path.as_uri(), "query": path.name} if path.exists() else {}, quiet=False)
    with another_origin() as (elsewhere, asked):
        tried = page.evaluate(TRY, elsewhere)
        assert asked == []
    wanted = {"script-src-elem", "img-src", "style-src-elem", "frame-src", "object-src", "base-uri", "media-src"}
    assert wanted | {"font-src", "connect-src", "eval"} <= set(tried["refused"])
    assert tried["hacked"] is None
    assert tried["base"] == page.url


def test_a_page_with_ones_own_things_is_not_shown_in_a_frame_of_another_site(browser: Browser, app: str) -> None:
    """That a frame with embed=true is shown is tried in test_embed."""
    with another_origin(f"<iframe src='{app}/train'></iframe><iframe src='{app}/yours?embed=true'></iframe>") as (
        host,
        _,
    ):
        context = browser.new_context()
        page = context.new_page()
        page.goto(host)
        page.wait_for_timeout(1500)
        assert [frame.url for frame in page.frames[1:]] == ["chrome-error://chromewebdata/"] * 2
        context.close()


# ---- names

SCRIPT = """
import json, sys
from pathlib import Path
import streamlit as st
from explorer.markdown import plain
for i, text in enumerate(json.loads(Path(sys.argv[1]).read_text())):
    with st.container(key=f"here-{i}"):
        st.markdown(f"**{plain(text)}** and {plain(text)}")
        st.warning(plain(text))
        st.progress(0.5, text=plain(text))
st.header("done")
"""


def test_streamlit_makes_nothing_but_text_of_a_name(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "page.py").write_text(SCRIPT)
    (tmp_path / "texts.json").write_text(json.dumps(HOSTILE))
    command = (sys.executable, "-m", "streamlit", "run", "page.py", "--server.port", "{port}", "--", "texts.json")
    with serve(command, folder=tmp_path, PYTHONPATH=str(PRETRAINED.parent)) as started:
        page = browser.new_page()
        page.goto(started.url)
        page.get_by_text("done", exact=True).wait_for(timeout=SLOW)
        for i, text in enumerate(HOSTILE):
            shown = page.locator(f".st-key-here-{i}")
            read = " ".join(text.split())
            said = [one.replace(JOINER, "") for one in shown.locator("p").all_inner_texts()]
            assert said == [f"{read} and {read}", read, read]
            made = shown.locator("p *").evaluate_all("all => all.map((one) => one.tagName)")
            assert made == ["STRONG"]
        page.close()


EVIL = '"><img src=x onerror="window.hacked=1" class=hacked>'
TITLE = "[x](javascript:alert(1)) ![](http://evil.example/a.png) :red[b] $\\href{http://evil.example}{x}$"


def hostile_models() -> bytes:
    """A zip of a sound pair whose data set, classes and card say what nobody should believe."""
    files: dict[str, bytes] = {}
    for kind in ("ae", "vae"):
        folder = PRETRAINED / f"mnist-{kind}-2"
        card, manifest = (unsealed((folder / one).read_bytes()) for one in ("card.json", "atlas.json"))
        card |= {"dataset": f"d){TITLE}{EVIL}", "data_source": EVIL, "data_sha256": EVIL}
        classes = [EVIL, TITLE, "javascript:alert(1)", "www.evil.example", *"456789"]
        manifest["data"] = {"title": f"{TITLE} {EVIL}", "classes": classes, "features": []}
        images = manifest["parts"]["images"]["file"]
        content = {one: (folder / one).read_bytes() for one in ("weights.safetensors", "codes.gz", "decoder.gz")}
        if "posterior" in manifest["parts"]:
            content["posterior.gz"] = (folder / "posterior.gz").read_bytes()
        content |= {images: (PRETRAINED / images).read_bytes()}
        content |= {"card.json": json.dumps(card).encode(), "atlas.json": json.dumps(manifest).encode()}
        files |= {f"{card['name']}/{name}": each for name, each in content.items()}
    return packing.to_zip(files)


def check(page: Page, app: str, outside: list[str]) -> None:
    page.wait_for_timeout(300)
    assert page.evaluate(FOUND) == []
    assert page.evaluate("window.hacked") is None
    assert outside == []


@pytest.mark.soak
def test_hostile_names_of_models_are_text_on_every_page(browser: Browser, app: str) -> None:
    context = browser.new_context(viewport={"width": 1440, "height": 950})
    page = context.new_page()
    outside: list[str] = []
    complaints: list[str] = []
    inside = (app, app.replace("http", "ws"), "blob:", "data:")
    page.on("request", lambda request: request.url.startswith(inside) or outside.append(request.url))
    page.on("dialog", lambda dialog: outside.append(dialog.message))
    page.on("console", lambda message: message.type == "error" and complaints.append(message.text))

    page.goto(f"{app}/train?job={EVIL}&data={EVIL}")
    expect(page.get_by_text("There is no such training of yours")).to_be_visible(timeout=SLOW)
    place = page.get_by_test_id("stFileUploaderDropzoneInput").first
    page.get_by_text("Your models: load a file").click()
    place.set_input_files({"name": f"{TITLE[:40]}.zip", "mimeType": "application/zip", "buffer": b"PK\3\4"})
    expect(page.get_by_text("cannot be loaded.")).to_be_visible(timeout=SLOW)
    check(page, app, outside)
    page.get_by_role("button", name=re.compile("^Remove .*zip")).click()
    place.set_input_files({"name": "www.evil.example.zip", "mimeType": "application/zip", "buffer": hostile_models()})
    expect(page.get_by_text("choose them in Explore")).to_be_visible(timeout=SLOW)
    check(page, app, outside)
    page.get_by_text("Your models (1)").click()
    address = page.get_by_role("link", name="Explore", exact=True).nth(1).evaluate("link => link.href")
    assert address.startswith(f"{app}/?data=d%29")

    page.goto(f"{address}&label={EVIL}&view={EVIL}")
    page.locator('[data-ready="true"]').first.wait_for(state="attached", timeout=SLOW)
    expect(page.get_by_role("button", name=f"Class {EVIL}", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name=f"Class {TITLE}", exact=True)).to_be_visible()
    check(page, app, outside)
    for path in ("measure?left=www.evil.example-ae&right=www.evil.example-vae", "yours?models=www.evil.example"):
        page.goto(f"{app}/{path}&from={EVIL}&against={EVIL}")
        page.locator('[data-ready="true"], [data-testid=stPlotlyChart]').first.wait_for(state="attached", timeout=SLOW)
        check(page, app, outside)
    for path in (f"learn?scene={EVIL}", f"labs?lab={EVIL}"):
        page.goto(f"{app}/{path}")
        page.locator('[data-ready="true"]').first.wait_for(state="attached", timeout=SLOW)
        check(page, app, outside)
    context.close()
    assert complaints == []
