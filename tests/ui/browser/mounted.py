"""The viewer by itself, without Gradio: its markup, style and script around one payload."""

from playwright.sync_api import Locator, Page

from multimodal_attn.viewer.sources import read_markup, read_scripts, read_static, read_style, static_of

MOUNT = """([js, payload, asks]) => {
  const element = document.querySelector("#viewer");
  const props = { value: payload };
  window.asked = [];
  const trigger = asks ? (name, question) => window.asked.push(question) : null;
  const watch = (name, load) => (window.show = (value) => { props.value = value; load(); });
  const names = ["element", "trigger", "props", "server", "upload", "watch"];
  new Function(...names, js)(element, trigger, props, {}, null, watch);
}"""


def mount(page: Page, payload: dict, asks: bool = False) -> None:
    """asks: whether there is somebody to ask; `window.asked` are the questions."""
    html, style, script = read_markup(), read_style(), read_scripts()
    page.set_content(f"<style>{read_static('theme.css')} #viewer {{ {style} }}</style><div id='viewer'>{html}</div>")
    page.evaluate(MOUNT, [script, payload, asks])


def words(page: Page) -> Locator:
    return page.get_by_role("option")


def selected(page: Page) -> list[str]:
    return page.locator("[role=option][aria-selected=true]").all_text_contents()


def pure(page: Page, call: str, *arguments):
    """What a function of the scripts that need no page answers."""
    own = [static_of("picture") / "grid.js", static_of("sound") / "time.js"]
    scripts = "\n".join([read_static("trace.js", "colours.js"), *(path.read_text("utf-8") for path in own)])
    return page.evaluate(
        "([js, arguments]) => new Function('arguments', js)(arguments)", [f"{scripts}\nreturn {call}", arguments]
    )
