// What nodes say in words, where the frontend speaks Chinese; the report itself stays English.
const FINDERS = {
  "dlib with five points": "dlib（五点）",
  "the host's MediaPipe": "ComfyUI 自带的 MediaPipe",
  "what is connected": "所连接的输入",
};
const finder = (name) => FINDERS[name] ?? name;

const ZH = [
  [/^(\d+) face\(s\), found by (.+)$/, (count, by) => `${finder(by)} 找到 ${count} 张脸`],
  [
    /^(\d+) person\(s\) in (\d+) frames, found by (.+)$/,
    (count, frames, by) => `${finder(by)} 在 ${frames} 帧中找到 ${count} 人`,
  ],
  [/^no face found by (.+): nothing was done$/, (by) => `${finder(by)} 未找到人脸，未做改动`],
  [/^clip of (\d+) frames$/, (frames) => `整段视频，${frames} 帧`],
  [/^person (\d+)$/, (number) => `第 ${number} 人`],
  [/^face (\d+)$/, (number) => `第 ${number} 张脸`],
  [/^picture (\d+), face (\d+)$/, (picture, face) => `第 ${picture} 张图，第 ${face} 张脸`],
  [/^strength is 0$/, () => "强度为 0"],
  [/^the mask is empty$/, () => "遮罩为空"],
  [/^its box lies outside the picture$/, () => "检测框在图片之外"],
];

export function told(text, { locale }) {
  const line = text.trim();
  if (locale !== "zh") return line;
  for (const [pattern, say] of ZH) {
    const found = line.match(pattern);
    if (found) return say(...found.slice(1));
  }
  return line;
}
