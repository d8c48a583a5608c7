// The sense of sight: a photograph on the stage, and the map of a token over it as a grid of cells.

senses.picture = {
  ...plain,
  invitation: "Drop a photograph anywhere on this page, paste one, or take an example.",
  waiting: "Looking\u00a0…",
  opening: "An example. Each word lights where the model looked as it wrote it, which need not be why. Drop a photo of your own.",
  hint: "Point at a word to see where the model looked, or at the picture to see which words looked there.",
  sentence: "The caption, word by word",
  nothing: "The model found no words for this picture.",
  unit: () => "of the word’s attention, per cell",
  at: (place, { cols }) => `row ${Math.floor(place / cols) + 1}, column ${(place % cols) + 1}`,
  spot: (token) => spotOf(indexOfMost(mapOf(token)), trace().geometry),
  names: { one: "a word", many: "words", whole: "the picture" },
  wide: (n) => `looks at about ${Math.round(n)} of ${view.weights.nPlaces} cells`,
  hiding: "Hiding one cell after another",
  parts: "cells",
  brush: "Drag over the cells that are to be hidden",
  told: (places) => (places.length === 1 ? cellName(places[0], trace().geometry) : `${places.length} cells`),
  where: (place) => cellName(place, trace().geometry),
  crowd: () => "Looked here most", // above the tokens with most weight at a place
  show: showPicture,
  draw() {
    drawMap();
    drawCell();
  },
  smooths: true,
  figure: drawOnSheet,
};

// ---- on the stage

const stage = part("stage"), canvas = part("map"), outline = part("outline");

function showPicture(media, shown) {
  const photo = part("picture");
  if (photo.getAttribute("src") !== media.file.url) photo.src = media.file.url;
  photo.alt = shown?.text ?? "";
  const zoom = Math.ceil(1024 / Math.max(media.width, media.height)); // so that the cells of a small picture stay sharp
  for (const sheet of [canvas, outline]) Object.assign(sheet, { width: media.width * zoom, height: media.height * zoom });
  stage.style.setProperty("--ratio", media.width / media.height);
  showCredit(media.credit ?? {});
}

function showCredit({ by = "", url = "" }) {
  part("credit").textContent = by && `Photo: ${by}`;
  part("credit").hidden = !by;
  if (/^https:\/\//.test(url)) part("credit").href = url;
}

function drawMap() {
  const pen = canvas.getContext("2d");
  pen.clearRect(0, 0, canvas.width, canvas.height);
  const map = shownMap();
  if (map) paintMap(pen, map);
  drawOutline(map);
}

// Over the map: what is hidden from the model, and where half the weight is.
function drawOutline(map) {
  const pen = outline.getContext("2d");
  pen.clearRect(0, 0, outline.width, outline.height);
  for (let place = 0; place < view.weights.nPlaces; place++) if (isGone(place)) coverCell(pen, place);
  if (map) outlineHalf(pen, map);
}

// In pixels of the canvas.
function boxOnCanvas(place) {
  const { width, height } = trace().geometry, [left, top, right, bottom] = cellBox(trace().geometry, place);
  const across = canvas.width / width, down = canvas.height / height;
  return [left * across, top * down, (right - left) * across, (bottom - top) * down];
}

function coverCell(pen, place) {
  pen.fillStyle = "rgb(128 128 128 / .94)";
  pen.fillRect(...boxOnCanvas(place));
}

// A line around the smallest area that holds half the weight: white within dark, so that it is seen on any photograph.
function outlineHalf(pen, map) {
  const inside = halfOf(map), { cols } = trace().geometry;
  pen.beginPath();
  for (const place of inside) {
    const [x, y, width, height] = boxOnCanvas(place), col = place % cols;
    const edges = [[place - cols, x, y, x + width, y], [place + cols, x, y + height, x + width, y + height]];
    edges.push([col ? place - 1 : -1, x, y, x, y + height], [col < cols - 1 ? place + 1 : -1, x + width, y, x + width, y + height]);
    for (const [beside, ...ends] of edges) {
      if (inside.has(beside)) continue;
      pen.moveTo(ends[0], ends[1]);
      pen.lineTo(ends[2], ends[3]);
    }
  }
  for (const [colour, width] of [["rgb(0 0 0 / .55)", 5], ["#fff", 2]]) {
    Object.assign(pen, { strokeStyle: colour, lineWidth: (width * canvas.width) / 1024 });
    pen.stroke();
  }
}

// Cells end where the grid ends. A smooth map goes on for half a cell, as far as its outermost weights reach.
function paintMap(pen, map) {
  const { box: [left, top, right, bottom], rows, cols, width, height } = trace().geometry;
  const more = view.smooth ? 0.5 : 0;
  const cell = [(right - left) / cols, (bottom - top) / rows];
  const size = [cols + 2 * more, rows + 2 * more];
  const frame = [left - more * cell[0], top - more * cell[1], size[0] * cell[0], size[1] * cell[1]];
  const padded = pixelsToCanvas(mapPixels(padMap(map, rows, cols), view.strength, shownMost(map)), cols + 2, rows + 2);
  pen.save();
  pen.scale(canvas.width / width, canvas.height / height); // from here on in pixels of the original picture
  paintVeil(pen, [0, 0, width, height], frame);
  pen.imageSmoothingEnabled = view.smooth;
  pen.imageSmoothingQuality = "high";
  pen.drawImage(padded, 1 - more, 1 - more, ...size, ...frame);
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

function drawCell() {
  const cell = part("cell");
  cell.hidden = view.place === null || !hasMaps();
  if (cell.hidden) return;
  const { width, height } = trace().geometry;
  const [left, top, right, bottom] = cellBox(trace().geometry, view.place);
  const edges = { left: left / width, top: top / height, width: (right - left) / width, height: (bottom - top) / height };
  for (const [edge, share] of Object.entries(edges)) cell.style[edge] = `${100 * share}%`;
}

pointAt(stage, ({ clientX, clientY }) => {
  const { geometry } = trace();
  const { left, top, width, height } = stage.getBoundingClientRect();
  return placeAt(geometry, ((clientX - left) / width) * geometry.width, ((clientY - top) / height) * geometry.height);
});

// The picture with the map that is on it now, on a sheet with room for the sentence below.
function drawOnSheet() {
  const strip = Math.round(canvas.width / 12);
  const { sheet, pen } = blankSheet(canvas.width, canvas.height + strip);
  pen.drawImage(part("picture"), 0, 0, canvas.width, canvas.height);
  for (const layer of [canvas, outline]) pen.drawImage(layer, 0, 0);
  writeSentence(pen, sheet.width, canvas.height + strip / 2, strip * 0.42);
  return sheet;
}
