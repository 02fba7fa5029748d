// The router's verdict: a labelled bar for each operation, its threshold as a tick.
import { make, pages } from "./dom.js";
import { told } from "./told.js";

const WORDS = {
  en: {
    whitening: "whitening",
    smoothing: "smoothing",
    face_slimming: "face slimming",
    eye_enlarging: "eye enlarging",
    locale: "en",
    hint: "Run to see what was done to the face.",
    undone: "undone",
    left: "left alone",
    degree: "degree",
    estimated: "degree estimated by its expert",
    untold: "too small or too compressed to tell",
    saved: "last saved at JPEG",
    unsaved: "no trace of JPEG",
    faceless: "no face found: nothing to judge",
  },
  zh: {
    whitening: "美白",
    smoothing: "磨皮",
    face_slimming: "瘦脸",
    eye_enlarging: "大眼",
    locale: "zh",
    hint: "运行后显示这张脸做过哪些修饰。",
    undone: "已还原",
    left: "未改动",
    degree: "程度",
    estimated: "程度由专家估计",
    untold: "照片太小或压缩过强，无法判断",
    saved: "最后保存为 JPEG",
    unsaved: "无 JPEG 痕迹",
    faceless: "未找到人脸，无从判断",
  },
};

const BAR_HEIGHT = 34;

function bar(entry, words) {
  const row = make("div", "frr-bar");
  row.dataset.operation = entry.operation;
  row.dataset.active = String(entry.active);
  const track = make("div", "frr-track");
  const fill = make("div", "frr-fill");
  fill.style.width = `${entry.told === false ? 0 : 100 * entry.probability}%`;
  const tick = make("div", "frr-tick");
  tick.style.left = `calc(${100 * entry.threshold}% - 1px)`;
  track.append(fill, tick);

  const degree =
    entry.degree === null ? words.estimated : `${words.degree} ${entry.degree.toFixed(2)}`;
  const left = entry.left_alone ? `${words.left}: ${told(entry.left_alone, words)}` : words.left;
  const verdict = entry.active ? `${words.undone}, ${degree}` : left;
  const known =
    entry.told === false ? words.untold : `${Math.round(100 * entry.probability)} %`;
  const note = make("div", "frr-bar-note", `${known} · ${verdict}`);
  row.append(make("div", "", words[entry.operation] ?? entry.operation), track, note);
  return row;
}

function source(picture, words) {
  const lines = [];
  if (picture.label) lines.push(make("div", "frr-bar-note", told(picture.label, words)));
  if (picture.side) {
    const saved = picture.quality ? `${words.saved} ${picture.quality}` : words.unsaved;
    lines.push(make("div", "frr-bar-note", `${picture.side} px · ${saved}`));
  }
  return lines;
}

export function verdictView(locale) {
  const words = locale.startsWith("zh") ? WORDS.zh : WORDS.en;
  const element = make("div", "frr-view frr-verdict");
  element.append(make("div", "frr-hint", words.hint));
  const view = { element, height: 30, width: 300 };

  view.show = (output) => {
    const pictures = output?.mofrr_verdict;
    const said = (output?.frr_note ?? []).map((text) => make("div", "frr-note", told(text, words)));
    if (!pictures?.length && !said.length) return false;
    if (!pictures?.length) {
      element.replaceChildren(...said);
      view.height = 40;
      return true;
    }
    const bars = make("div");
    const judged = (picture) =>
      picture.faceless && !picture.operations.some((entry) => entry.active)
        ? [make("div", "frr-note", words.faceless)]
        : picture.operations.map((entry) => bar(entry, words));
    const draw = (page) =>
      bars.replaceChildren(...judged(pictures[page]), ...source(pictures[page], words));
    draw(0);
    element.replaceChildren(bars, pages(pictures.length, draw), ...said);
    view.height =
      18 * said.length + pictures[0].operations.length * BAR_HEIGHT + (pictures.length > 1 ? 34 : 14) + 18;
    return true;
  };
  return view;
}
