// What belongs to the page as a whole: a picture or a sound may be pasted or dropped anywhere, what cannot be one is
// refused in the viewer's own line, a hidden tab falls silent, and the example buttons get names.
() => {
  const KINDS = {
    picture: { types: /^image\//, wanted: "not a picture; take a JPEG, PNG, WEBP, GIF, BMP or TIFF file" },
    sound: { types: /^(audio\/|video\/(ogg|webm))/, wanted: "not a sound; take a WAV, FLAC, OGG, Opus or MP3 file" },
  };
  const TABS = { picture: 0, sound: 1, text: 2 }; // a text is written, not dropped
  const inputOf = (kind) => document.querySelector(`#${kind}-drop input[type=file]`);
  const isShown = (kind) => document.querySelector(`#${kind}-viewer`)?.offsetParent;
  const viewerOf = (kind) => document.querySelector(`#${kind}-viewer .viewer`);
  const shownKind = () => Object.keys(KINDS).find(isShown) ?? "picture";

  // Hands a file to the drop area of its kind, as if chosen there. A tab is drawn when it is first opened.
  async function give(files) {
    if (!files?.length) return;
    if (files[0].type === "text/html") return openShared(files[0]);
    const kind = Object.keys(KINDS).find((kind) => KINDS[kind].types.test(files[0].type)) ?? shownKind();
    openTab(kind);
    for (let frames = 300; frames && !inputOf(kind); frames--) await new Promise(requestAnimationFrame);
    const input = inputOf(kind);
    if (!input) return; // no model for it, as the tab says
    const transfer = new DataTransfer();
    transfer.items.add(files[0]);
    input.files = transfer.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  }

  const openTab = (kind) => isShown(kind) || document.querySelectorAll("#senses [role=tab]")[TABS[kind]].click();

  // A page that the viewer saved: nothing of it goes to the server, and nothing of it is run.
  async function openShared(file) {
    const saved = new DOMParser().parseFromString(await file.text(), "text/html").querySelector("script#shared");
    const kind = Object.keys(TABS).find((kind) => saved?.dataset.kind === kind) ?? shownKind();
    openTab(kind);
    for (let frames = 300; frames && !viewerOf(kind); frames--) await new Promise(requestAnimationFrame);
    viewerOf(kind)?.dispatchEvent(new CustomEvent("shared", { detail: { name: file.name, text: saved?.textContent } }));
  }

  function refusal({ name, type, size }, kind) {
    const limit = window.gradio_config?.max_file_size ?? Infinity;
    if (!KINDS[kind].types.test(type)) return `${name}: ${KINDS[kind].wanted}`;
    if (size > limit) return `${name}: larger than ${limit / 1e6} MB; save it smaller`;
  }

  // Before Gradio sees the file, for it would put the name into the page as markup.
  function guard(event) {
    const kind = Object.keys(KINDS).find((kind) => event.target === inputOf(kind));
    const line = kind && event.target.files[0] && refusal(event.target.files[0], kind);
    if (!line) return;
    event.stopPropagation();
    viewerOf(kind).dispatchEvent(new CustomEvent("problem", { detail: line }));
  }

  function nameExamples() {
    const pictures = document.querySelectorAll("#picture-examples img");
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
