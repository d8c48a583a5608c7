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
