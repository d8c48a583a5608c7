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
