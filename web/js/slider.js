// Before and after, one over the other, with a line to drag between them.
import { api } from "../../../scripts/api.js";
import { make, pages } from "./dom.js";

const WORDS = {
  en: { before: "before", after: "after", hint: "Run to compare before and after." },
  zh: { before: "之前", after: "之后", hint: "运行后可对比前后。" },
};
// The numbers are told in English; the longer phrases come first.
const ZH = [
  ["after against before", "之后与之前相比"],
  ["the same as the truth", "与真值相同"],
  ["unchanged", "没有变化"],
  ["before", "之前"],
  ["after", "之后"],
];

const inChinese = (line) => ZH.reduce((text, pair) => text.replace(...pair), line);

const url = ({ filename, subfolder, type }) =>
  api.apiURL(`/view?${new URLSearchParams({ filename, subfolder, type })}`);

function stage(words, before, after) {
  const box = make("div", "frr-stage");
  const first = make("img", "frr-before");
  const second = make("img", "frr-after");
  const line = make("div", "frr-line");
  const range = make("input", "frr-range");
  Object.assign(range, { type: "range", min: "0", max: "100", value: "50" });
  range.setAttribute("aria-label", `${words.before} / ${words.after}`);
  const left = make("span", "frr-tag", words.before);
  const right = make("span", "frr-tag", words.after);
  left.style.left = right.style.right = "4px";
  first.src = url(before);
  second.src = url(after);

  const move = (share) => {
    const percent = Math.min(100, Math.max(0, share));
    second.style.clipPath = `inset(0 0 0 ${percent}%)`;
    line.style.left = `calc(${percent}% - 1px)`;
    range.value = String(percent);
  };
  const follow = (event) => {
    const { left: edge, width } = box.getBoundingClientRect();
    move((100 * (event.clientX - edge)) / width);
  };
  box.addEventListener("pointerdown", (event) => {
    event.stopPropagation(); // the canvas would drag the node
    box.setPointerCapture(event.pointerId);
    follow(event);
  });
  box.addEventListener("pointermove", (event) => event.buttons && follow(event));
  range.addEventListener("input", () => move(Number(range.value)));
  range.addEventListener("pointerdown", (event) => event.stopPropagation());
  box.append(first, second, line, left, right);
  move(50);
  return [box, range];
}

export function sliderView(locale) {
  const chinese = locale.startsWith("zh");
  const words = chinese ? WORDS.zh : WORDS.en;
  const element = make("div", "frr-view frr-slider");
  element.append(make("div", "frr-hint", words.hint));
  const view = { element, height: 30, width: 340 };

  view.show = (output) => {
    const { frr_before: before, frr_after: after, frr_report: lines } = output ?? {};
    if (!before?.length || !after?.length) return false;
    const frame = make("div");
    const draw = (page) => {
      const [box, range] = stage(words, before[page], after[page]);
      box.style.height = "300px";
      frame.replaceChildren(box, range);
    };
    draw(0);
    const notes = (lines ?? []).map((line) =>
      make("div", "frr-note", chinese ? inChinese(line) : line),
    );
    element.replaceChildren(frame, pages(before.length, draw), ...notes);
    view.height = 340 + 16 * notes.length + (before.length > 1 ? 22 : 0);
    return true;
  };
  return view;
}
