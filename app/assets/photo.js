// The photo stays in the page as a data URL and travels with each call; nothing is uploaded.
const say = (text) => {
  element.querySelector("label span").textContent = text;
};
const choose = (file) => {
  if (!file) return;
  if (file.size > props.max_bytes) {
    say(`The file is too large: expected at most ${Math.floor(props.max_bytes / 2 ** 20)} MB.`);
    return;
  }
  const reader = new FileReader();
  reader.onload = () => {
    props.value = reader.result;
    trigger("change");
  };
  reader.onerror = () => say("The file cannot be read.");
  reader.readAsDataURL(file);
};
const over = (on) => element.querySelector("label").classList.toggle("frr-over", on);
element.addEventListener("change", (event) => choose(event.target.files?.[0]));
element.addEventListener("paste", (event) => choose(event.clipboardData?.files[0]));
element.addEventListener("dragover", (event) => {
  event.preventDefault();
  over(true);
});
element.addEventListener("dragleave", () => over(false));
element.addEventListener("drop", (event) => {
  event.preventDefault();
  over(false);
  choose(event.dataTransfer?.files[0]);
});
// A browser does not know every kind of picture that the server reads.
element.addEventListener(
  "error",
  (event) => {
    if (event.target.tagName !== "IMG") return;
    event.target.remove();
    element.querySelector("label").classList.remove("frr-chosen");
    say("This file cannot be shown here, though it may be worked on. Choose another");
  },
  true,
);
