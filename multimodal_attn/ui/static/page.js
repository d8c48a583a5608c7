// What belongs to the page as a whole: a picture may be pasted or dropped anywhere, what cannot be one is refused in
// the viewer's own line, and the example buttons get names.
() => {
  // Hands a file to the drop area, as if chosen there.
  function give(files) {
    const input = document.querySelector("#drop input[type=file]");
    if (!input || !files?.length) return;
    const transfer = new DataTransfer();
    transfer.items.add(files[0]);
    input.files = transfer.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  }

  function refusal({ name, type, size }) {
    const limit = window.gradio_config?.max_file_size ?? Infinity;
    if (!type.startsWith("image/")) return `${name}: not a picture; take a JPEG, PNG, WEBP, GIF, BMP or TIFF file`;
    if (size > limit) return `${name}: larger than ${limit / 1e6} MB; save it smaller`;
  }

  // Before Gradio sees the file, for it would put the name into the page as markup.
  function guard(event) {
    const file = event.target.closest?.("#drop input[type=file]")?.files[0];
    const line = file && refusal(file);
    if (!line) return;
    event.stopPropagation();
    document.querySelector("#viewer .viewer").dispatchEvent(new CustomEvent("problem", { detail: line }));
  }

  function nameExamples() {
    const pictures = document.querySelectorAll("#examples img");
    for (const picture of pictures) picture.alt = decodeURI(picture.src).replace(/.*\/|\.\w+$/g, "");
    if (pictures.length) watcher.disconnect();
  }

  const watcher = new MutationObserver(nameExamples); // they are drawn after this runs, and without a name
  watcher.observe(document.body, { childList: true, subtree: true });
  nameExamples();

  const dropping = (isOver) => document.body.classList.toggle("dropping", isOver);
  const early = { capture: true }; // before the drop area's own listeners
  document.addEventListener("change", guard, early);
  document.addEventListener("paste", (event) => give(event.clipboardData?.files));
  document.addEventListener("dragleave", (event) => event.relatedTarget ?? dropping(false), early);
  document.addEventListener("dragover", (event) => {
    event.preventDefault(); // else the browser leaves the page for the dropped file
    dropping(true);
  }, early);
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    event.stopPropagation();
    dropping(false);
    give(event.dataTransfer?.files);
  }, early);
}
