// Plays a film: the frames of its strip, one step after another, on the screens. A pointer on the strip stops
// the film at that step; a click tells Python the step. `element` stays, what is in it is made anew: where it was
// scrolled to, and the button that had the focus, are found again.
let step = 0, playing = !matchMedia("(prefers-reduced-motion: reduce)").matches, held = false;
let scrolled = 0, focused = null, length = 0;
const show = () => {
  const film = element.querySelector(".film");
  if (!film) return;
  step %= Number(film.dataset.steps);
  for (const screen of film.querySelectorAll(".screens figure")) {
    const frame = film.querySelector(`.strip img[data-row="${screen.dataset.row}"][data-step="${step}"]`);
    const image = screen.querySelector("img");
    image.className = frame ? frame.className : "cell";
    image.src = frame ? frame.src : film.dataset.blank;
    image.alt = frame ? frame.alt || `what the model sees of frame ${step + 1}` : "nothing: the video has ended";
  }
  for (const frame of film.querySelectorAll(".strip img"))
    frame.classList.toggle("now", Number(frame.dataset.step) === step);
  film.querySelector(".clock").textContent = `frame ${step + 1}`;
  film.querySelector(".play").textContent = playing ? "Pause" : "Play";
};
const made = () => {
  const film = element.querySelector(".film");
  if (!film) return;
  const strip = film.querySelector(".scroll"), seen = Number(film.dataset.seen);
  const steps = Number(film.dataset.steps);
  if (length && steps > length && steps > seen) {
    // What has just been imagined: there the eye is to be.
    step = seen;
    const first = film.querySelector(`.strip img.imagined[data-step="${step}"]`);
    scrolled = first.offsetLeft - strip.clientWidth / 3;
    film.scrollIntoView({block: "nearest"});
  }
  length = steps;
  strip.scrollLeft = scrolled;
  if (focused !== null && document.activeElement === document.body)
    film.querySelector(`.strip button[data-step="${focused}"]`)?.focus({preventScroll: true});
  const address = new URLSearchParams(film.dataset.query);
  const theme = new URLSearchParams(location.search).get("__theme");
  if (theme) address.set("__theme", theme);
  // As Python wrote it: commas and all, which people can read.
  history.replaceState(history.state, "", theme ? `?${address}` : film.dataset.query);
  show();
};
const stepOf = event => {
  const frame = event.target.closest(".strip [data-step]");
  return frame ? Number(frame.dataset.step) : null;
};
element.addEventListener("click", event => {
  if (event.target.closest(".play")) {
    playing = !playing;
    show();
  } else if (stepOf(event) !== null) {
    trigger("click", {step: stepOf(event)});
  }
});
element.addEventListener("pointerover", event => {
  held = stepOf(event) !== null;
  if (held) { step = stepOf(event); show(); }
});
element.addEventListener("pointerleave", () => { held = false; });
element.addEventListener("scroll", event => { scrolled = event.target.scrollLeft; }, true);
document.addEventListener("focusin", event => {
  const button = event.target.closest(".strip button");
  focused = button ? Number(button.dataset.step) : null;
});
watch("value", made);
setInterval(() => { if (playing && !held) { step += 1; show(); } }, 200);
made();
