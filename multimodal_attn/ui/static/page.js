// What belongs to the page as a whole: a file may be pasted or dropped anywhere, what no sense accepts is refused in the
// viewer's own line, a hidden tab falls silent, and the example buttons get names.
// tabs: [{kind, accepts, wanted}] in their order; of a sense that takes no file `accepts` is empty.
(tabs) => {
  const kinds = tabs.map(({ kind }) => kind);
  const dropped = tabs.filter(({ accepts }) => accepts);
  const isOf = ({ accepts }, { type, name }) => new RegExp(accepts).test(type) || new RegExp(accepts).test(name);
  const inputOf = (kind) => document.querySelector(`#${kind}-drop input[type=file]`);
  const isShown = (kind) => document.querySelector(`#${kind}-viewer`)?.offsetParent;
  const viewerOf = (kind) => document.querySelector(`#${kind}-viewer .viewer`);
  const shownTab = () => dropped.find(({ kind }) => isShown(kind)) ?? dropped[0];

  // Hands a file to the drop area of its kind, as if chosen there. A tab is drawn when it is first opened.
  async function give(files) {
    if (!files?.length) return;
    if (files[0].type === "text/html") return openShared(files[0]);
    const { kind } = dropped.find((tab) => isOf(tab, files[0])) ?? shownTab();
    openTab(kind);
    for (let frames = 300; frames && !inputOf(kind); frames--) await new Promise(requestAnimationFrame);
    const input = inputOf(kind);
    if (!input) return; // no model for it, as the tab says
    const transfer = new DataTransfer();
    transfer.items.add(files[0]);
    input.files = transfer.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  }

  const openTab = (kind) => isShown(kind) || document.querySelectorAll("#senses [role=tab]")[kinds.indexOf(kind)].click();

  // A page that the viewer saved: nothing of it goes to the server, and nothing of it is run.
  async function openShared(file) {
    const saved = new DOMParser().parseFromString(await file.text(), "text/html").querySelector("script#shared");
    const kind = kinds.find((kind) => saved?.dataset.kind === kind) ?? shownTab().kind;
    openTab(kind);
    for (let frames = 300; frames && !viewerOf(kind); frames--) await new Promise(requestAnimationFrame);
    viewerOf(kind)?.dispatchEvent(new CustomEvent("shared", { detail: { name: file.name, text: saved?.textContent } }));
  }

  function refusal(file, tab) {
    const limit = window.gradio_config?.max_file_size ?? Infinity;
    if (!isOf(tab, file)) return `${file.name}: ${tab.wanted}`;
    if (file.size > limit) return `${file.name}: larger than ${limit / 1e6} MB; save it smaller`;
  }

  // Before Gradio sees the file, for it would put the name into the page as markup.
  function guard(event) {
    const tab = dropped.find(({ kind }) => event.target === inputOf(kind));
    const line = tab && event.target.files[0] && refusal(event.target.files[0], tab);
    if (!line) return;
    event.stopPropagation();
    viewerOf(tab.kind).dispatchEvent(new CustomEvent("problem", { detail: line }));
  }

  function nameExamples() {
    const pictures = document.querySelectorAll(".examples img");
    for (const picture of pictures) picture.alt = decodeURI(picture.src).replace(/.*\/|\.\w+$/g, "");
    if (pictures.length) watcher.disconnect();
  }

  const watcher = new MutationObserver(nameExamples); // they are drawn after this runs, and without a name
  watcher.observe(document.body, { childList: true, subtree: true });
  nameExamples();

  const dropping = (isOver) => document.body.classList.toggle("dropping", isOver);
  const early = { capture: true }; // before the drop area's own listeners
  document.addEventListener("change", guard, early);
  document.addEventListener("click", ({ target }) => {
    if (target.closest?.("#senses [role=tab]")) document.querySelectorAll(".viewer audio").forEach((sound) => sound.pause());
  });
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
