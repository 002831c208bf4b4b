// What is wrong with how the widgets of a notebook look, as sentences: lab.NotebookPage.faults.
() => {
  const faults = new Set();
  const shown = element => element.checkVisibility({ checkVisibilityCSS: true })
    && element.getClientRects().length > 0;

  const name = element => {
    const words = (element.value || element.textContent || element.className || "").toString();
    return `<${element.tagName.toLowerCase()} class="${element.className}"> ${words.trim().slice(0, 60)}`;
  };

  const clipped = (element, style) => {
    const wider = element.scrollWidth > element.clientWidth + 1;
    const higher = element.scrollHeight > element.clientHeight + 1;
    const scrolls = value => value === "auto" || value === "scroll";
    const hides = value => value === "hidden" || value === "clip";
    if ((wider && scrolls(style.overflowX)) || (higher && scrolls(style.overflowY))) {
      faults.add(`a scroll bar: ${name(element)}`);
    } else if ((wider && hides(style.overflowX)) || (higher && hides(style.overflowY))) {
      faults.add(`cut off: ${name(element)}`);
    }
  };

  const canvas = document.createElement("canvas").getContext("2d");
  const fieldClipped = (element, style) => {
    const arrow = element.tagName === "SELECT" ? 18 : 0;
    const text = arrow ? element.selectedOptions[0]?.textContent : element.value;
    canvas.font = style.font;
    const room = element.clientWidth - parseFloat(style.paddingLeft) - arrow;
    const width = canvas.measureText(text || "").width;
    // A field may show a part of what the panel has whole beside it.
    const whole = !arrow && element.closest(".du-panel")?.textContent.includes(text);
    if (width > room + 1 && !whole) faults.add(`cut off: ${name(element)}`);
  };

  const outside = (element, box) => {
    const [inner, outer] = [element.getBoundingClientRect(), box.getBoundingClientRect()];
    if (inner.right > outer.right + 1.5 || inner.left < outer.left - 1.5
        || inner.bottom > outer.bottom + 1.5) {
      faults.add(`outside its box: ${name(element)}`);
    }
  };

  const channels = colour => (colour.match(/[\d.]+/g) || [0, 0, 0, 0]).map(Number);
  const brightness = ([r, g, b]) => {
    const linear = [r, g, b].map(c => c / 255)
      .map(c => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const ground = element => {
    for (let at = element; at; at = at.parentElement) {
      const [r, g, b, alpha = 1] = channels(getComputedStyle(at).backgroundColor);
      if (alpha > 0.5) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const faint = (element, style) => {
    const below = ground(element);
    const [r, g, b, alpha = 1] = channels(style.color);
    const seen = [r, g, b].map((c, i) => alpha * c + (1 - alpha) * below[i]);
    const [dark, light] = [brightness(seen), brightness(below)].sort((x, y) => x - y);
    const contrast = (light + 0.05) / (dark + 0.05);
    if (contrast < 4) faults.add(`hard to read (${contrast.toFixed(1)}): ${name(element)}`);
  };

  const inside = ".jp-OutputArea-output .jupyter-widgets, .jp-OutputArea-output .jupyter-widgets *";
  for (const element of document.querySelectorAll(inside)) {
    if (!shown(element) || element.closest("svg, .jp-RenderedSVG, .MathJax, .noUi-base")) continue;
    const style = getComputedStyle(element);
    const parent = element.parentElement;
    if (["SELECT", "INPUT"].includes(element.tagName)) {
      if (element.tagName === "SELECT" || element.type === "text") fieldClipped(element, style);
    } else {
      clipped(element, style);
    }
    if (element.classList.contains("jupyter-widgets")) outside(element, parent);
    if (element.tagName === "IMG" && element.complete && element.naturalWidth === 0) {
      faults.add(`no picture: ${name(element)}`);
    }
    const says = [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim());
    if (says && !element.closest(":disabled")) faint(element, style);
  }
  return [...faults];
}
