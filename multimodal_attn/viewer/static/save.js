// Files to keep, made on the page: no request is sent for them.

function save(blob, name) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

const stem = () => view.complete.media.name.replace(/\.[^.]*$/, "") || view.complete.media.kind;

function blankSheet(width, height) {
  const sheet = Object.assign(document.createElement("canvas"), { width, height });
  const pen = sheet.getContext("2d");
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, width, height);
  return { sheet, pen };
}

// The sentence on one line, centred at `y`, with the current token in full ink.
function writeSentence(pen, width, y, size) {
  const parts = [...sentence.childNodes].flatMap((child) => (child.dataset ? [...child.childNodes] : [child]));
  const options = parts.map((child) => [child.textContent, child.dataset?.token]);
  pen.textBaseline = "middle";
  pen.font = `${size}px ${getComputedStyle(sentence).fontFamily}`;
  const length = pen.measureText(sentence.textContent).width;
  const fit = Math.min(1, (0.94 * width) / length);
  pen.setTransform(fit, 0, 0, fit, (width - fit * length) / 2, y);
  let x = 0;
  for (const [text, token] of options) {
    pen.fillStyle = current() === null || Number(token) === current() ? "#1d1b18" : "#a39c90";
    pen.fillText(text, x, 0);
    x += pen.measureText(text).width;
  }
  pen.resetTransform();
}

// The spectrogram with the weights that are on it now, those of all tokens, the seconds, and the sentence.
function drawSoundOnSheet() {
  const width = part("pitches").width, heights = { pitches: 300, curve: 96, axis: 44, matrix: 0, words: 100 };
  if (hasMaps() && trace().tokens.length) heights.matrix = Math.max(240, 12 * trace().tokens.length);
  const { sheet, pen } = blankSheet(width, Object.values(heights).reduce((sum, height) => sum + height));
  const matrixTop = heights.pitches + heights.curve + heights.axis;
  for (const name of ["pitches", "veil"]) pen.drawImage(part(name), 0, 0, width, heights.pitches);
  pen.drawImage(part("curve"), 0, heights.pitches, width, heights.curve);
  writeSeconds(pen, width, matrixTop - heights.axis / 2);
  pen.imageSmoothingEnabled = false;
  if (heights.matrix) pen.drawImage(part("matrix"), 0, matrixTop, width, heights.matrix);
  writeSentence(pen, width, matrixTop + heights.matrix + heights.words / 2, 42);
  return sheet;
}

function writeSeconds(pen, width, y) {
  pen.font = `20px ${getComputedStyle(sentence).fontFamily}`;
  pen.textBaseline = "middle";
  pen.fillStyle = "#6d675d";
  for (const mark of part("axis").children) {
    const x = (parseFloat(mark.style.left) / 100) * width;
    pen.textAlign = x === 0 ? "left" : x > 0.97 * width ? "right" : "center";
    pen.fillText(mark.textContent, x, y);
  }
  pen.textAlign = "left";
}
