// Everything that depends on what is pointed at: the map, the outlined cell, the shaded words, the text beside.

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

// Cells end where the grid ends. A smooth map goes on for half a cell, as far as its outermost weights reach.
function paintMap(pen, map) {
  const { box: [left, top, right, bottom], rows, cols, width, height } = trace().geometry;
  const more = view.smooth ? 0.5 : 0;
  const cell = [(right - left) / cols, (bottom - top) / rows];
  const size = [cols + 2 * more, rows + 2 * more];
  const frame = [left - more * cell[0], top - more * cell[1], size[0] * cell[0], size[1] * cell[1]];
  pen.save();
  pen.scale(canvas.width / width, canvas.height / height); // from here on in pixels of the original picture
  paintVeil(pen, [0, 0, width, height], frame);
  pen.imageSmoothingEnabled = view.smooth;
  pen.imageSmoothingQuality = "high";
  pen.drawImage(mapPicture(map, rows, cols), 1 - more, 1 - more, ...size, ...frame);
  pen.restore();
}

function paintVeil(pen, picture, frame) {
  const [red, green, blue, alpha] = rampColour(0, view.strength);
  pen.fillStyle = `rgb(${red} ${green} ${blue} / ${alpha})`;
  pen.beginPath();
  pen.rect(...picture);
  pen.rect(...frame);
  pen.fill("evenodd");
}

function mapPicture(map, rows, cols) {
  const made = Object.assign(document.createElement("canvas"), { width: cols + 2, height: rows + 2 });
  const pixels = mapPixels(padMap(map, rows, cols), view.strength);
  made.getContext("2d").putImageData(new ImageData(pixels, made.width, made.height), 0, 0);
  return made;
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

// ---- words

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
