// The viewer on the page: its state, its payloads, and what the person does. `element`, `props` and `watch` come from
// Gradio; trace.js, draw.js and save.js stand before this file in one function body.
// A payload is {id, media, trace}; without a trace it is a picture that waits, with `problem` a line to show.

const part = (name) => element.querySelector(`[data-part="${name}"]`);
const viewer = part("viewer"), sentence = part("sentence"), stage = part("stage"), canvas = part("map");

const view = {
  complete: null, // the last payload with a trace; a problem returns to it
  weights: null,
  hovered: null, // token under the pointer, or null
  pinned: null, // token chosen by click or key, or null
  place: null, // place under the pointer, or null
  head: "mean",
  smooth: true,
  strength: 1,
};

const trace = () => view.complete.trace;
const current = () => view.hovered ?? view.pinned;
const hasMaps = () => view.weights.nHeads > 0;
const mapOf = (token) => tokenMap(view.weights, token, view.head);

function node(name, text, attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text; // never markup: tokens and names are other people's text
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

// ---- payloads

function load() {
  const payload = props.value;
  if (!payload) return;
  showProblem(payload.problem ?? "");
  if (payload.trace) showTrace(payload);
  else if (payload.media) showWaiting(payload);
  else if (view.complete) showTrace(view.complete);
  else viewer.dataset.state = "empty";
}

function showProblem(text) {
  part("problem").textContent = text;
  part("problem").hidden = !text;
}

function showWaiting({ media }) {
  viewer.dataset.state = "waiting";
  showPicture(media);
}

function showTrace(payload) {
  const isNew = payload !== view.complete;
  Object.assign(view, { complete: payload, weights: decodeWeights(payload.trace.weights) });
  if (isNew) Object.assign(view, { hovered: null, pinned: null, place: null, head: "mean" });
  viewer.dataset.state = "ready";
  viewer.dataset.maps = hasMaps() ? "yes" : "no";
  showPicture(payload.media, payload.trace.text);
  showWords();
  showHeads();
  draw();
  if (isNew) say(payload.trace.text || NO_WORDS);
}

function showPicture(media, description = "") {
  const picture = part("picture");
  if (picture.getAttribute("src") !== media.file.url) picture.src = media.file.url;
  picture.alt = description;
  const zoom = Math.ceil(1024 / Math.max(media.width, media.height)); // so that the cells of a small picture stay sharp
  Object.assign(canvas, { width: media.width * zoom, height: media.height * zoom });
  stage.style.setProperty("--ratio", media.width / media.height);
}

function showWords() {
  const { laid, after } = layTokens(trace().text, trace().tokens);
  sentence.replaceChildren();
  laid.forEach(({ before, text }, i) => {
    const option = node("span", text, { role: "option", id: `${element.id}-${i}`, "data-token": i });
    option.style.setProperty("--probability", trace().tokens[i].probability);
    sentence.append(before, option);
  });
  sentence.append(after);
}

function showHeads() {
  const { nHeads } = view.weights;
  part("heads-label").hidden = nHeads < 2;
  const one = (_, n) => node("option", n + 1, { value: n });
  part("heads").replaceChildren(node("option", "mean", { value: "mean" }), ...Array.from({ length: nHeads }, one));
  part("heads").value = view.head;
}

// ---- what the person does

function change(values) {
  Object.assign(view, values);
  draw();
}

function pin(token) {
  change({ pinned: token, hovered: null });
  if (token !== null) sayToken(token);
}

const tokenOf = (event) => {
  const option = event.target.closest("[role=option]");
  return option ? Number(option.dataset.token) : null;
};

function placeOf(event) {
  const { geometry } = trace();
  const { left, top, width, height } = stage.getBoundingClientRect();
  const x = ((event.clientX - left) / width) * geometry.width;
  return placeAt(geometry, x, ((event.clientY - top) / height) * geometry.height);
}

function step(key) {
  const last = trace().tokens.length - 1;
  const at = view.pinned ?? view.hovered;
  const targets = {
    ArrowRight: at === null ? 0 : Math.min(at + 1, last),
    ArrowLeft: at === null ? last : Math.max(at - 1, 0),
    Home: 0,
    End: last,
    Escape: null,
  };
  return last < 0 ? undefined : targets[key];
}

sentence.addEventListener("pointerover", (event) => {
  if (tokenOf(event) !== null) change({ hovered: tokenOf(event) });
});
sentence.addEventListener("pointerleave", () => change({ hovered: null }));
sentence.addEventListener("click", (event) => {
  const token = tokenOf(event);
  if (token !== null) pin(token === view.pinned ? null : token);
});
viewer.addEventListener("keydown", (event) => {
  const isOurs = event.target === sentence || event.key === "Escape";
  const target = isOurs && viewer.dataset.state === "ready" ? step(event.key) : undefined;
  if (target === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  pin(target);
});

viewer.addEventListener("problem", ({ detail: line }) => showProblem(line)); // found by the page, before any request

stage.addEventListener("pointermove", (event) => {
  if (viewer.dataset.state !== "ready" || !hasMaps()) return;
  const place = placeOf(event);
  if (place !== view.place) change({ place });
});
stage.addEventListener("pointerleave", (event) => {
  if (event.pointerType !== "touch") change({ place: null }); // a finger that lifts still wants to read
});

for (const choice of [part("smooth"), part("cells")]) {
  choice.name = `${element.id}-drawing`; // one group per viewer on the page
  choice.addEventListener("change", () => change({ smooth: part("smooth").checked }));
}
part("heads").addEventListener("change", ({ target }) => {
  change({ head: target.value === "mean" ? "mean" : Number(target.value) });
});
part("strength").addEventListener("input", ({ target }) => change({ strength: Number(target.value) }));

part("save-png").addEventListener("click", () => {
  const word = current() === null ? "" : `-${current() + 1}-${trace().tokens[current()].text}`;
  figure().toBlob((blob) => save(blob, `${stem()}${word}.png`));
});
part("save-json").addEventListener("click", () => {
  save(new Blob([JSON.stringify(trace(), null, 1)], { type: "application/json" }), `${stem()}.json`);
});

load();
watch("value", load);
