// What the presets of MoFRR Restore set: strength, operations, and degrees (0: estimated).
const OPERATIONS = ["whitening", "smoothing", "face_slimming", "eye_enlarging"];
const SKIN = ["whitening", "smoothing"];

const settings = (strength, wish, degree) => ({
  strength,
  ...Object.fromEntries(OPERATIONS.map((name) => [name, wish(name)])),
  ...Object.fromEntries(OPERATIONS.map((name) => [`${name}_degree`, degree(name)])),
});
const only = (names) =>
  settings(1, (name) => (names.includes(name) ? "on" : "off"), () => 0);

export const PRESETS = {
  "as found": settings(1, () => "auto", () => 0),
  gentle: settings(0.5, () => "auto", () => 0),
  "everything, strong": settings(1, () => "on", () => 1),
  "skin only": only(SKIN),
  "shape only": only(OPERATIONS.filter((name) => !SKIN.includes(name))),
};

// Makes the widget `preset` of a node set the others when a user chooses one.
export function followPresets(node) {
  const preset = node.widgets?.find((widget) => widget.name === "preset");
  if (!preset) return;
  const callback = preset.callback;
  preset.callback = function (value) {
    callback?.apply(this, arguments);
    for (const [name, each] of Object.entries(PRESETS[value] ?? {})) {
      const widget = node.widgets.find((other) => other.name === name);
      if (widget) widget.value = each;
    }
    node.setDirtyCanvas?.(true, true);
  };
}
