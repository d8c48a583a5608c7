// The viewer on the page. `element`, `props` and `watch` come from Gradio; the functions above it from trace.js.
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

// ---- drawing: everything that depends on what is pointed at

function draw() {
  if (viewer.dataset.state !== "ready") return;
  drawMap();
  drawCell();
  drawWords();
  drawLegend();
  part("detail").replaceChildren(...detail());
}

function drawMap() {
  const pen = canvas.getContext("2d");
  pen.clearRect(0, 0, canvas.width, canvas.height);
  if (current() !== null && hasMaps()) paintMap(pen, mapOf(current()));
}

function paintMap(pen, map) {
  const { box, rows, cols, width, height } = trace().geometry;
  const cells = Object.assign(document.createElement("canvas"), { width: cols, height: rows });
  cells.getContext("2d").putImageData(new ImageData(mapPixels(map, view.strength), cols, rows), 0, 0);
  pen.save();
  pen.scale(canvas.width / width, canvas.height / height); // from here on in pixels of the original picture
  const [left, top, right, bottom] = box;
  const frame = [left, top, right - left, bottom - top];
  const [red, green, blue, alpha] = rampColour(0, view.strength);
  pen.fillStyle = `rgb(${red} ${green} ${blue} / ${alpha})`;
  pen.beginPath();
  pen.rect(0, 0, width, height);
  pen.rect(...frame);
  pen.fill("evenodd"); // what lies outside the box got no attention
  pen.imageSmoothingEnabled = view.smooth;
  pen.imageSmoothingQuality = "high";
  pen.drawImage(cells, ...frame);
  pen.restore();
}

function drawCell() {
  const cell = part("cell");
  cell.hidden = view.place === null || !hasMaps();
  if (cell.hidden) return;
  const { width, height } = trace().geometry;
  const [left, top, right, bottom] = cellBox(trace().geometry, view.place);
  const edges = { left: left / width, top: top / height, width: (right - left) / width, height: (bottom - top) / height };
  for (const [edge, share] of Object.entries(edges)) cell.style[edge] = `${100 * share}%`;
}

function drawWords() {
  sentence.querySelectorAll("[role=option]").forEach((option, i) => {
    option.setAttribute("aria-selected", i === current());
    option.classList.toggle("pinned", i === view.pinned);
    option.style.setProperty("--share", view.place === null ? 0 : shareAt(i, view.place));
  });
  if (view.pinned === null) sentence.removeAttribute("aria-activedescendant");
  else sentence.setAttribute("aria-activedescendant", `${element.id}-${view.pinned}`);
}

// How bright a place is on a token's map, 0..1: the word is shaded as its map would be.
function shareAt(token, place) {
  const map = mapOf(token);
  return map[place] / (Math.max(...map) || 1);
}

function drawLegend() {
  part("legend").classList.toggle("idle", current() === null);
  part("ramp").style.backgroundImage = rampGradient(view.strength);
  part("most").textContent = current() === null ? "most" : percent(Math.max(...mapOf(current())));
}

// ---- words about what is pointed at

const NO_WORDS = "The model found no words for this picture.";
const NO_MAPS = "This model has no attention: it takes the picture in as a whole, so there is no map to show.";
const HINT = "Point at a word to see where the model looked, or at the picture to see which words looked there.";

function detail() {
  const { tokens } = trace();
  if (!tokens.length) return [node("p", NO_WORDS)];
  if (view.place !== null && view.hovered === null) return placeDetail(tokens, view.place);
  if (current() !== null) return tokenDetail(tokens[current()]);
  return [node("p", hasMaps() ? HINT : NO_MAPS)];
}

function tokenDetail({ text, probability, alternatives }) {
  const others = alternatives.filter(([other]) => other !== text).slice(0, 4);
  const heading = [node("h3", text), node("p", `${percent(probability)} sure`)];
  return others.length ? [...heading, node("h4", "Rather than"), bars(others)] : heading;
}

function placeDetail(tokens, place) {
  const shares = tokens.map(({ text }, token) => [text, mapOf(token)[place]]);
  return [node("h4", "Looked here most"), bars(shares.sort((a, b) => b[1] - a[1]).slice(0, 6), shares[0][1])];
}

// A list of [word, share] with a bar each; the longest bar is `most`.
function bars(pairs, most = 1) {
  const list = node("ul", "");
  for (const [text, share] of pairs) {
    const row = node("li", "");
    row.append(node("span", text), node("span", percent(share)));
    row.style.setProperty("--length", share / (most || 1));
    list.append(row);
  }
  return list;
}

function say(text) {
  part("spoken").textContent = text;
}

function sayToken(token) {
  const { text, probability } = trace().tokens[token];
  const { cols } = trace().geometry;
  const words = [`${text}, ${percent(probability)} sure`];
  if (hasMaps()) {
    const place = indexOfMost(mapOf(token));
    words.push(`looks most at row ${Math.floor(place / cols) + 1}, column ${(place % cols) + 1}`);
  }
  say(words.join("; "));
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

load();
watch("value", load);
