// Shows the router's verdict on nodes, and before / after on Compare Restoration.
// Both are pictures of what the nodes sent: no node needs them to run.
import { app } from "../../../scripts/app.js";
import { nameOptions } from "./options.js";
import { followPresets } from "./presets.js";
import { verdictView } from "./verdict.js";
import { sliderView } from "./slider.js";

const VIEWS = {
  MoFRRRestore: verdictView,
  MoFRRRoute: verdictView,
  MoFRREditRouting: verdictView,
  RestorationCompare: sliderView,
};

const OURS = /^(MoFRR|BPFRe|RetouchSimulate|RestorationCompare|FaceCrop|FacePaste)/;

app.registerExtension({
  name: "FRR.Views",

  nodeCreated(node) {
    if (!OURS.test(node.comfyClass ?? "")) return;
    const locale = String(app.ui?.settings?.getSettingValue?.("Comfy.Locale") ?? "en");
    nameOptions(node, locale);
    followPresets(node);
    const makeView = VIEWS[node.comfyClass];
    if (!makeView) return;

    const view = makeView(locale);
    const widget = node.addDOMWidget("frr_view", "FRR_VIEW", view.element, {
      serialize: false,
      hideOnZoom: false,
      getMinHeight: () => view.height,
    });
    widget.serialize = false; // not part of a workflow's values

    const onExecuted = node.onExecuted;
    node.onExecuted = function (output) {
      onExecuted?.apply(this, arguments);
      if (!view.show(output)) return;
      const [width, height] = node.size;
      const needed = node.computeSize();
      node.setSize([Math.max(width, needed[0], view.width ?? 0), Math.max(height, needed[1])]);
      node.setDirtyCanvas?.(true, true);
    };
  },

  setup() {
    window.frrViewsReady = true;
  },
});
