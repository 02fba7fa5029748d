// Small helpers to build elements, and the style of all views.

const STYLE = `
.frr-view { box-sizing: border-box; width: 100%; padding: 4px 8px; overflow: hidden;
  font: 11px/1.35 Inter, Arial, sans-serif; color: var(--input-text, #ddd); }
.frr-hint { opacity: 0.6; padding: 2px 0; }
.frr-bar { display: grid; grid-template-columns: 92px 1fr; gap: 0 8px; align-items: center;
  margin: 3px 0; }
.frr-bar-note { grid-column: 2; opacity: 0.75; font-size: 10px; }
.frr-track { position: relative; height: 10px; border-radius: 5px; overflow: hidden;
  background: var(--comfy-input-bg, #222); border: 1px solid var(--border-color, #444); }
.frr-fill { position: absolute; inset: 0 auto 0 0; background: #7a7a7a; }
.frr-bar[data-active="true"] .frr-fill { background: #d9822b; }
.frr-tick { position: absolute; top: 0; bottom: 0; width: 2px; background: #fff; opacity: 0.8; }
.frr-pages { display: flex; gap: 8px; justify-content: center; align-items: center; }
.frr-pages button { all: unset; cursor: pointer; padding: 0 6px; border-radius: 4px;
  border: 1px solid var(--border-color, #444); }
.frr-stage { position: relative; width: 100%; background: #111; touch-action: none;
  cursor: ew-resize; user-select: none; }
.frr-stage img { display: block; width: 100%; height: 100%; object-fit: contain;
  pointer-events: none; }
.frr-stage .frr-after { position: absolute; inset: 0; }
.frr-line { position: absolute; top: 0; bottom: 0; width: 2px; background: #fff;
  box-shadow: 0 0 3px #000; pointer-events: none; }
.frr-tag { position: absolute; top: 4px; padding: 1px 5px; border-radius: 3px; color: #fff;
  background: rgba(0, 0, 0, 0.55); pointer-events: none; }
.frr-range { width: 100%; margin: 4px 0 0; }
`;

let styled = false;

export function make(tag, className = "", text = "") {
  if (!styled) {
    const style = document.createElement("style");
    style.textContent = STYLE;
    document.head.append(style);
    styled = true;
  }
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return element;
}

// Buttons that step through the pictures of a batch; hidden where there is one.
export function pages(count, onPage) {
  const bar = make("div", "frr-pages");
  if (count < 2) return bar;
  let page = 0;
  const label = make("span", "", `1 / ${count}`);
  const turn = (step) => {
    page = (page + step + count) % count;
    label.textContent = `${page + 1} / ${count}`;
    onPage(page);
  };
  const back = make("button", "", "‹");
  const next = make("button", "", "›");
  back.addEventListener("click", () => turn(-1));
  next.addEventListener("click", () => turn(1));
  bar.append(back, label, next);
  return bar;
}
