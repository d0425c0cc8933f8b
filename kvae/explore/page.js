// Plays a film: the frames of its strip, one step after another, on the screens. A pointer on the strip stops
// the film at that step; a click tells Python the step. `element` stays, what is in it is made anew.
let step = 0, playing = !matchMedia("(prefers-reduced-motion: reduce)").matches, held = false;
const show = () => {
  const film = element.querySelector(".film");
  if (!film) return;
  const length = film.querySelectorAll('.strip img[data-row="0"]').length;
  step %= length;
  for (const screen of film.querySelectorAll(".screens figure")) {
    const frame = film.querySelector(`.strip img[data-row="${screen.dataset.row}"][data-step="${step}"]`);
    const image = screen.querySelector("img");
    image.src = frame.src;
    image.className = frame.className;
  }
  for (const frame of film.querySelectorAll(".strip img"))
    frame.classList.toggle("now", Number(frame.dataset.step) === step);
  film.querySelector(".clock").textContent = `t = ${step + Number(film.dataset.first)}`;
  film.querySelector(".play").textContent = playing ? "Pause" : "Play";
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
watch("value", show);
setInterval(() => { if (playing && !held) { step += 1; show(); } }, 200);
show();
