// What belongs to the page as a whole: paste or drop a picture anywhere, and names for the example buttons.
() => {
  function give(files) {
    const input = document.querySelector("#drop input[type=file]");
    const picture = [...(files ?? [])].find(({ type }) => type.startsWith("image/"));
    if (!input || !picture) return;
    const transfer = new DataTransfer();
    transfer.items.add(picture);
    input.files = transfer.files; // as if chosen in the drop area
    input.dispatchEvent(new Event("change"));
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
  document.addEventListener("paste", (event) => give(event.clipboardData?.files));
  document.addEventListener("dragover", (event) => {
    event.preventDefault(); // else the browser leaves the page for the dropped file
    dropping(true);
  });
  document.addEventListener("dragleave", (event) => event.relatedTarget ?? dropping(false));
  document.addEventListener("drop", () => dropping(false), { capture: true }); // the drop area keeps its own drops
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    give(event.dataTransfer?.files);
  });
}
