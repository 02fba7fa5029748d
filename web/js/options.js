// What the values of combos are called where the frontend speaks Chinese; the values stay.
const ZH = {
  auto: "自动",
  on: "开",
  off: "关",
  pictures: "图片",
  video: "视频",
  all: "全部",
  largest: "最大的",
  "by number": "按序号",
  "in boxes": "检测框之内",
  "as framed": "一张脸占满画面",
  "as found": "按检测结果",
  "largest first": "从大到小",
  "left to right": "从左到右",
  "pass through": "原样通过",
  error: "报错",
  "do not look": "不检测",
  "by hand": "手动",
  gentle: "柔和",
  "everything, strong": "全部还原，强",
  "skin only": "仅皮肤",
  "shape only": "仅形状",
  any: "任意",
  whitening: "美白",
  smoothing: "磨皮",
  face_slimming: "瘦脸",
  eye_enlarging: "大眼",
  shared: "共享",
};

export function nameOptions(node, locale) {
  if (!locale.startsWith("zh")) return;
  for (const widget of node.widgets ?? []) {
    if (widget.type !== "combo" || !widget.options) continue;
    widget.options.getOptionLabel = (value) => ZH[value] ?? String(value ?? "");
  }
}
