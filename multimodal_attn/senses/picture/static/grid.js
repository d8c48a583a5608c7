// What a picture's trace means on its grid. Every function here is pure. Places count row by row from the top left.

// Cell of a place as [left, top, right, bottom] in pixels of the original picture.
function cellBox({ box, rows, cols }, place) {
  const [left, top, right, bottom] = box;
  const width = (right - left) / cols, height = (bottom - top) / rows;
  const x = left + (place % cols) * width, y = top + Math.floor(place / cols) * height;
  return [x, y, x + width, y + height];
}

// The place that holds a pixel position, or null where the model has no cell.
function placeAt({ box, rows, cols }, x, y) {
  const [left, top, right, bottom] = box;
  const col = Math.floor(((x - left) / (right - left)) * cols);
  const row = Math.floor(((y - top) / (bottom - top)) * rows);
  return col >= 0 && col < cols && row >= 0 && row < rows ? row * cols + col : null;
}

// The map with each edge cell once more around it: (rows + 2) x (cols + 2), so that smoothing has something to lean on.
function padMap(map, rows, cols) {
  const inside = (i, n) => Math.min(Math.max(i - 1, 0), n - 1);
  const at = (i) => inside(Math.floor(i / (cols + 2)), rows) * cols + inside(i % (cols + 2), cols);
  return Float32Array.from({ length: (rows + 2) * (cols + 2) }, (_, i) => map[at(i)]);
}

// Where a place is, in words.
function cellName(place, { cols }) {
  return `row ${Math.floor(place / cols) + 1}, column ${(place % cols) + 1}`;
}

function spotOf(place, geometry) {
  return `looks most at ${cellName(place, geometry)}`;
}
