// One page to keep or send: this viewer's own sources around its payload, as shared_page in share.py makes it. It opens
// without a server, and when it is dropped onto the app. SHARED is shared.html.

const isShared = document.querySelector("script#shared") !== null; // this page is such a one

// What the viewer is made of, as Gradio was told.
function sources() {
  const { components, css } = window.gradio_config;
  const { props } = components.find(({ type, props }) => type === "html" && props.elem_id && element.closest(`#${props.elem_id}`));
  return { style: `${css}\n#viewer { ${props.css_template} }`, viewer: props.html_template, script: props.js_on_load };
}

const escaped = (text) => text.replace(/[&<>"']/g, (letter) => `&#${letter.codePointAt()};`);
const toScript = (value) => JSON.stringify(value).replaceAll("<", "\\u003c"); // nothing in it ends the script

function fillIn(template, parts) {
  return template.replace(/{{(\w+)}}/g, (_, name) => parts[name]);
}

async function toDataUrl(url) {
  const blob = await (await fetch(url)).blob();
  return new Promise((done) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result);
    reader.readAsDataURL(blob);
  });
}

async function sharedPage() {
  const { id, media } = view.complete;
  const inlined = media.file ? { file: { url: await toDataUrl(media.file.url) } } : {}; // some are no files
  const payload = toScript({ id, media: { ...media, ...inlined }, trace: trace() });
  return fillIn(SHARED, { ...sources(), payload, kind: media.kind, title: escaped(trace().text || media.name) });
}

// The payload of a saved page. It may come from anybody: nothing of it is run, and its media are in it.
function readShared(text) {
  const payload = JSON.parse(text);
  if (!senses[payload.media.kind]?.isWhole(payload.media)) throw new TypeError("no media of ours");
  return { id: payload.id, media: payload.media, trace: payload.trace };
}

function openShared({ name, text }) {
  const last = view.complete;
  try {
    showTrace(readShared(text));
    showProblem("");
  } catch (error) {
    Object.assign(view, { complete: last });
    if (last) showTrace(last);
    showProblem(`${name}: not a page that was saved here`);
  }
}

function showOrigin() {
  const { checkpoint } = trace().origin;
  const origin = document.querySelector("#origin");
  if (isShared && origin) origin.textContent = `${checkpoint ? `Written by ${checkpoint}. ` : ""}Drawn by multimodal-attn; everything is in this page, nothing is fetched.`;
}
