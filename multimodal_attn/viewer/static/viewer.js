// The viewer on the page: its payloads, and what the person does.
// A payload is {id, kind} with nothing to show yet, {id, media, trace}, or {id, media, file} where the trace is in a file;
// with media alone it is an input that waits. `problem` is a line to show above, and `before` says how many
// others are answered first.

// ---- payloads

async function load() {
  const payload = props.value;
  if (!payload) return;
  if (payload.of) return takeAnswer(payload);
  showKind(payload.media?.kind ?? payload.kind ?? viewer.dataset.kind);
  showProblem(payload.problem ?? "");
  showQueue(payload.before ?? 0);
  if (payload.before) return bringIntoSight(); // what is shown stays
  if (payload.file) await loadTrace(payload);
  else if (payload.trace) showTrace(payload);
  else if (payload.media) showWaiting(payload);
  else if (view.complete) showTrace(view.complete);
  else viewer.dataset.state = "empty";
}

async function loadTrace({ file, ...payload }) {
  const trace = await (await fetch(file.url)).json();
  if (props.value.id === payload.id) showTrace({ ...payload, trace }); // else it was overtaken
}

function showKind(kind) {
  viewer.dataset.kind = kind;
  for (const stage of viewer.querySelectorAll("[data-for]")) stage.hidden = stage.dataset.for !== kind;
  part("invitation").textContent = sense().invitation;
  part("drawing").hidden = !sense().smooths;
}

function showProblem(text) {
  part("problem").textContent = text;
  part("problem").hidden = !text;
}

function showQueue(nBefore) {
  const line = nBefore ? `${nBefore} before you\u00a0…` : "";
  part("queue").textContent = line;
  viewer.dataset.queued = line ? "yes" : "no";
  if (line) say(line);
}

function showWaiting({ media }) {
  stopWalking();
  viewer.dataset.state = "waiting";
  part("waiting").textContent = sense().waiting;
  sense().show(media, null);
  bringIntoSight();
}

// On a phone the viewer lies below everything that one chooses from.
function bringIntoSight() {
  if (viewer.getBoundingClientRect().top < innerHeight / 2) return;
  const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  viewer.scrollIntoView({ behavior: isCalm ? "auto" : "smooth", block: "start" });
}

function showTrace(payload) {
  const isNew = payload.id !== view.complete?.id;
  Object.assign(view, { complete: payload, weights: decodeWeights(payload.trace.weights), looks: decodeLooks(payload.trace.self_attention) });
  if (isNew) stopWalking();
  if (isNew) Object.assign(view, { hovered: null, playing: null, pinned: null, place: null, head: "mean" });
  if (isNew) Object.assign(view, { inside: "off", layer: "looked" });
  showKind(payload.media.kind);
  viewer.dataset.state = "ready";
  viewer.dataset.maps = hasMaps() && payload.trace.tokens.length ? "yes" : "no";
  sense().show(payload.media, payload.trace);
  showWords();
  showHealth();
  showHeads();
  showInside();
  showNeeds();
  showBefore();
  showBest();
  showOrigin();
  showOpening(payload);
  draw();
  if (isNew && payload.opening) walk();
  else if (isNew) say(payload.trace.text || nothing());
}

function showWords() {
  const { laid, after } = layTokens(trace().text, trace().tokens);
  sentence.setAttribute("aria-label", sense().sentence);
  sentence.classList.toggle("long", trace().text.length > 120);
  sentence.replaceChildren();
  laid.forEach(({ before, text }, i) => {
    const option = node("span", text, { role: "option", id: `${element.id}-${i}`, "data-token": i });
    option.style.setProperty("--probability", trace().tokens[i].probability);
    option.classList.toggle("goes-on", laid[i + 1]?.before === ""); // pieces of one word stand close
    option.classList.toggle("joins", i > 0 && before === "");
    for (const name of ["entropy", "need"]) option.append(node("i", "", { class: name, "aria-hidden": "true" })); // the facts say it in words
    if (!i || before) sentence.append(before, node("span", "", { class: "word", role: "presentation" }));
    sentence.lastChild.append(option); // within its word, for a line must not end there
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

function showInside() {
  const heads = view.looks[0]?.heads ?? [];
  part("inside-label").hidden = !heads.length;
  const one = ([layer, head], n) => node("option", `${layer}.${head}`, { value: n });
  const choices = ["off", "mean"].map((name) => node("option", name, { value: name }));
  part("inside").replaceChildren(...choices, ...heads.map(one));
  part("inside").value = view.inside;
}

// ---- what the person does

function pin(token) {
  change({ pinned: token, hovered: null });
  if (token !== null) sayToken(token);
}

const tokenOf = (event) => {
  const option = event.target.closest("[role=option]");
  return option ? Number(option.dataset.token) : null;
};

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
  if (token !== null) pin(sense().pick(token));
});
viewer.addEventListener("keydown", (event) => {
  const isOurs = event.target === sentence || event.key === "Escape";
  if (!isOurs || viewer.dataset.state !== "ready" || event.ctrlKey || event.altKey || event.metaKey) return;
  const target = step(event.key), action = sense().keys[event.key];
  if (target === undefined && !action) return;
  event.preventDefault();
  if (action) action();
  else pin(target);
});

viewer.addEventListener("shared", ({ detail }) => openShared(detail)); // a page that was saved before
viewer.addEventListener("problem", ({ detail: line }) => showProblem(line)); // found by the page, before any request

for (const choice of [part("smooth"), part("cells")]) {
  choice.name = `${element.id}-drawing`; // one group per viewer on the page
  choice.addEventListener("change", () => change({ smooth: part("smooth").checked }));
}
part("heads").addEventListener("change", ({ target }) => {
  change({ head: target.value === "mean" ? "mean" : Number(target.value) });
});
part("inside").addEventListener("change", ({ target }) => {
  view.inside = Number.isInteger(Number(target.value)) ? Number(target.value) : target.value;
  sense().show(view.complete.media, trace());
  draw();
});
part("scale").addEventListener("change", ({ target }) => change({ scale: target.checked ? "all" : "each" }));
part("strength").addEventListener("input", ({ target }) => change({ strength: Number(target.value) }));

part("save-png").addEventListener("click", () => {
  const word = current() === null ? "" : `-${current() + 1}-${spelled(trace().tokens[current()].text)}`;
  sense().figure().toBlob((blob) => save(blob, `${stem()}${word}.png`));
});
part("save-page").hidden = isShared || !window.gradio_config;
part("save-page").addEventListener("click", async () => {
  save(new Blob([await sharedPage()], { type: "text/html" }), `${stem()}.html`);
});
part("save-json").addEventListener("click", () => {
  save(new Blob([JSON.stringify(trace(), null, 1)], { type: "application/json" }), `${stem()}.json`);
});

load();
watch("value", load);
