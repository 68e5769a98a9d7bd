/* Interactive panels of a run, drawn with BokehJS from the JSON of flows/view.py.

   One explorer a run: a time slider moves a cursor through all its panels, and the bodies in the
   plane; the legend switches curves on and off and shows their values at the cursor. */
"use strict";
const popflow = (() => {
  // Okabe and Ito's colours, safe for colour-blind readers; on a dark page the lighter ones first.
  const COLOURS = {
    light: ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"],
    dark: ["#56B4E9", "#E69F00", "#2FC79A", "#E3A5CA", "#F0E442", "#FF8A4C", "#FFFFFF"],
  };
  const DASHES = [[], [8, 4], [2, 3], [8, 3, 2, 3]];
  const FEWEST = 1e-280;  // what a logarithmic axis can show with a margin below it
  const WIDTH = 1.8, CURSOR_WIDTH = 1.2, HEIGHT = 250, ZOOM = 4;
  const SMALLEST = 0.65;  // of a formula that is too wide
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let explorers = 0;

  const style = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const colour = k => COLOURS[dark.matches ? "dark" : "light"][k % 7];
  const dash = k => DASHES[k % DASHES.length];
  /** Six digits, with an exponent where zeros would have to be counted. */
  function number(x) {
    if (x === null || !Number.isFinite(x)) return "–";
    if (x === 0 || (Math.abs(x) >= 1e-4 && Math.abs(x) < 1e6)) return String(Number(x.toPrecision(6)));
    return x.toExponential(5).replace(/\.?0+e/, "e").replace("e+", "e");
  }
  const absolute = x => x === null || Math.abs(x) < FEWEST ? NaN : Math.abs(x);

  /** Element with attributes, listeners (on...) and children. */
  function make(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) {
      if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
      else if (typeof value === "boolean") made.toggleAttribute(key, value);
      else made.setAttribute(key, value);
    }
    made.append(...children);
    return made;
  }

  /** How a curve looks, for its legend. */
  function swatch(k, body) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("class", "swatch");
    svg.setAttribute("aria-hidden", "true");
    const line = document.createElementNS(svg.namespaceURI, body ? "circle" : "line");
    const places = body ? {cx: 14, cy: 5, r: 4, fill: colour(k)}
      : {x1: 0, x2: 28, y1: 5, y2: 5, stroke: colour(k), "stroke-width": 2.5,
         "stroke-dasharray": dash(k).join(" ")};
    for (const [key, value] of Object.entries(places)) line.setAttribute(key, value);
    svg.append(line);
    return svg;
  }

  /** Figure in the colours of the page. */
  function figure(options) {
    const made = Bokeh.Plotting.figure({
      height: HEIGHT, sizing_mode: "stretch_width", toolbar_location: "above", min_width: 200,
      tools: "pan,box_zoom,wheel_zoom,reset,save", background_fill_alpha: 0, border_fill_alpha: 0,
      outline_line_color: null, min_border_right: 12, min_border_left: 60, ...options,
    });
    made.toolbar.logo = null;
    made.toolbar.active_drag = null;  // a finger that drags scrolls the page
    const ink = style("--ink"), faint = style("--faint"), line = style("--line");
    for (const axis of [...made.below, ...made.left]) axis.setv({
      axis_label_text_color: ink, axis_label_text_font_style: "normal",
      axis_label_text_font_size: "13px", major_label_text_color: ink,
      major_label_text_font_size: "12px", axis_line_color: faint, major_tick_line_color: faint,
      minor_tick_line_color: null,
    });
    for (const grid of made.center) grid.setv({grid_line_color: line, grid_line_alpha: 1});
    return made;
  }

  const hover = renderers => new Bokeh.HoverTool({
    renderers, mode: "mouse", line_policy: "nearest", point_policy: "snap_to_data",
    tooltips: [["", "$name"], ["t", "@t{%.6g}"], ["value", "@$name{%.6g}"]],
    formatters: {"@t": "printf", "@$name": "printf"},
  });

  const phone = matchMedia("(max-width: 40rem)");

  /** Whether a run shows something of a claim: some claims speak of none of its times. */
  const says = claim => claim.panels[0].series.length > 0;

  class Explorer {
    constructor(root, view) {
      this.root = root;
      this.view = view;
      this.id = ++explorers;
      this.index = view.loss.series[0].values.findLastIndex(value => value !== null);
      this.charts = new Map();   // of a place: what moves when time does
      this.hidden = new Set();   // curves that are switched off, by panel and label
      // A loss that falls exponentially is a straight line over linear time.
      this.linear = view.linear_until !== null;
      this.whole = [view.t[0], this.linear ? view.linear_until : view.t[view.t.length - 1]];
      this.window = this.whole;
      // A system of one's own may have no potentials, or no claims.
      const shown = view.potentials.find(p => p.panels[0].series.length) ?? view.potentials[0];
      this.potential = shown?.name;
      const met = view.claims.find(c => says(c) && c.verdict !== "HYPOTHESIS_NOT_MET");
      this.claim = (this.about(shown) ?? met ?? view.claims.find(says) ?? view.claims[0])?.id;
      this.build();
      dark.addEventListener("change", () => this.draw());
    }

    /** Claim about a potential, if this run shows something of it. */
    about(potential) {
      return this.view.claims.find(c => c.id === potential?.claim && says(c));
    }

    build() {
      const last = this.view.t.length - 1, id = `explorer-${this.id}`;
      this.slider = make("input", {
        type: "range", id: `${id}-time`, min: 0, max: last, step: 1, value: this.index,
        oninput: () => this.move(Number(this.slider.value), true),
      });
      this.clock = make("span", {class: "clock"});
      const zoom = (text, factor) =>
        make("button", {type: "button", onclick: () => this.zoom(factor)}, text);
      const bar = make("div", {class: "bar"},
        make("label", {for: `${id}-time`}, "Time"), this.slider, this.clock,
        zoom("Zoom in", 1 / ZOOM), zoom("Zoom out", ZOOM), zoom("Whole run", Infinity));
      const chooser = (word, key, names) => {
        const select = make("select", {id: `${id}-${key}`, onchange: () => this.choose(key, select.value)},
          ...names.map(([value, text]) => make("option", {value, selected: value === this[key]}, text)));
        this[`${key}Select`] = select;
        return make("div", {class: "choose"}, make("label", {for: select.id}, word), select);
      };
      this.places = {};
      const place = (...names) => make("div", {class: "grid"}, ...names.map(
        name => this.places[name] = make("div", {class: `panel ${name}`})));
      this.statement = make("p", {class: "faint statement"});
      const potentials = () => [
        chooser("Potential", "potential", this.view.potentials.map(p => [p.name, p.words])),
        place("value", "rate")];
      const claims = () => [
        chooser("Claim", "claim", this.view.claims.map(c => [c.id, `${c.verdict}: ${c.label}`])),
        this.statement, place("sides", "slack")];
      this.root.replaceChildren(bar, place("loss", "exponent", "plane"),
        ...(this.potential ? potentials() : []), ...(this.claim ? claims() : []));
      this.draw();
    }

    draw() {
      this.chart("loss", this.view.loss);
      this.chart("exponent", this.view.exponent);
      this.plane();
      if (this.potential) this.choose("potential", this.potential, false);
      if (this.claim) this.choose("claim", this.claim);
    }

    choose(key, name, follow = true) {
      this[key] = name;
      this[`${key}Select`].value = name;
      const names = key === "potential" ? ["value", "rate"] : ["sides", "slack"];
      const all = key === "potential" ? this.view.potentials : this.view.claims;
      const chosen = all.find(one => (one.name ?? one.id) === name);
      names.forEach((place, k) => this.chart(place, chosen.panels[k]));
      if (key === "claim") this.statement.innerHTML = chosen.statement;  // escaped there
      else if (follow && this.about(chosen)) this.choose("claim", chosen.claim);
      this.move(this.index);
    }

    /** Curves of a panel over time. */
    chart(place, panel) {
      this.close(place);
      const {t} = this.view, box = this.places[place];
      const drawn = make("div", {class: "plot"});
      box.replaceChildren(make("h3", {}, panel.title), drawn);
      if (!panel.series.length) return drawn.append(make("p", {class: "note"}, panel.note));
      const fig = figure({
        x_axis_type: this.linear ? "linear" : "log", y_axis_type: panel.logarithmic ? "log" : "linear",
        x_range: new Bokeh.Range1d({start: this.window[0], end: this.window[1]}),
        x_axis_label: "t", y_axis_label: panel.label, window_axis: "x",
      });
      const data = {t}, dots = {t: [], y: [], colour: []};
      panel.series.forEach(({label, values}) => {
        data[label] = values.map(v => v ?? NaN);
        data[`|${label}|`] = panel.logarithmic ? values.map(absolute) : data[label];
      });
      const source = new Bokeh.ColumnDataSource({data});
      const shown = new Bokeh.ColumnDataSource({data: dots});
      const lines = panel.series.map(({label, values}, k) => {
        const visible = !this.hidden.has(`${place} ${label}`);
        const line = fig.line({field: "t"}, {field: `|${label}|`}, {
          source, name: label, line_color: colour(k), line_dash: dash(k), line_width: WIDTH, visible,
        });
        if (panel.logarithmic && values.some(v => v < 0)) {  // a negative value is drawn as its size
          const at = values.flatMap((v, i) => v < 0 ? [i] : []);
          const negative = fig.scatter(at.map(i => t[i]), at.map(i => -values[i]), {
            marker: "x", size: 5, line_color: style("--faint"), visible});
          line.properties.visible.change.connect(() => { negative.visible = line.visible; });
        }
        return line;
      });
      fig.renderers[0].data_source === source && (fig.y_range.renderers = lines);
      fig.y_range.only_visible = true;
      for (const level of panel.levels) fig.add_layout(new Bokeh.Span({
        dimension: "width", location: level, line_color: style("--faint"), line_dash: "dotted"}));
      for (const mark of this.view.marks) fig.add_layout(new Bokeh.Span({
        dimension: "height", location: mark.t, line_color: style("--line"), line_width: 1.5}));
      const cursor = new Bokeh.Span({dimension: "height", location: t[this.index],
        line_color: style("--ink"), line_width: CURSOR_WIDTH});
      fig.add_layout(cursor);
      fig.scatter({field: "t"}, {field: "y"}, {source: shown, size: 7,
        fill_color: {field: "colour"}, line_color: style("--paper")});
      fig.add_tools(hover(lines));
      fig.on_event("mousemove", event => this.near(event.x));
      const follow = () => this.share(fig.x_range);
      fig.x_range.properties.start.change.connect(follow);
      fig.x_range.properties.end.change.connect(follow);
      const outputs = this.legend(box, place, panel.series, lines, false);
      if (panel.logarithmic && panel.series.some(s => s.values.some(v => v < 0)))
        box.append(make("p", {class: "faint"}, "×: negative, drawn as its size"));
      this.charts.set(place, {range: fig.x_range, figure: fig, move: i => {
        cursor.location = t[i];
        const seen = panel.series.map((s, k) => k).filter(k => lines[k].visible);
        const y = seen.map(k => data[`|${panel.series[k].label}|`][i]);
        shown.data = {t: seen.map(() => t[i]), y, colour: seen.map(colour)};
        panel.series.forEach((s, k) => { outputs[k].textContent = number(s.values[i]); });
      }});
      this.show(place, fig, drawn);
    }

    /** Neurons or means where they are at the time of the cursor, with the way they came. */
    plane() {
      this.close("plane");
      const {plane} = this.view, box = this.places.plane, drawn = make("div", {class: "plot"});
      box.replaceChildren(make("h3", {}, plane.title), drawn);
      const fig = figure({x_axis_label: plane.labels[0], y_axis_label: plane.labels[1],
        match_aspect: true});
      fig.scatter(plane.goals.map(g => g.x), plane.goals.map(g => g.y),
        {marker: "star", size: 15, fill_color: style("--ink"), line_color: style("--paper")});
      const paths = plane.bodies.map(({label, x, y}, k) => {
        const visible = !this.hidden.has(`plane ${label}`);
        const all = fig.line(x, y, {line_color: colour(k), line_alpha: 0.3, line_width: 1, visible});
        const trail = new Bokeh.ColumnDataSource({data: {x: [], y: []}});
        const way = fig.line({field: "x"}, {field: "y"},
          {source: trail, line_color: colour(k), line_width: WIDTH, visible});
        const head = new Bokeh.ColumnDataSource({data: {x: [], y: [], t: []}});
        const dot = fig.scatter({field: "x"}, {field: "y"}, {source: head, name: label, size: 10,
          fill_color: colour(k), line_color: style("--paper"), visible});
        all.properties.visible.change.connect(() => { way.visible = dot.visible = all.visible; });
        return {all, trail, head, dot};
      });
      fig.add_tools(new Bokeh.HoverTool({renderers: paths.map(p => p.dot), tooltips: [
        ["", "$name"], [plane.labels[0], "@x{%.6g}"], [plane.labels[1], "@y{%.6g}"]],
        formatters: {"@x": "printf", "@y": "printf"}}));
      const outputs = this.legend(box, "plane", plane.bodies, paths.map(p => p.all), true);
      if (plane.goals.length) box.append(make("p", {class: "faint"}, `★: ${plane.goals[0].label}`));
      this.charts.set("plane", {figure: fig, move: i => plane.bodies.forEach(({x, y}, k) => {
        paths[k].trail.data = {x: x.slice(0, i + 1), y: y.slice(0, i + 1)};
        paths[k].head.data = {x: [x[i]], y: [y[i]], t: [this.view.t[i]]};
        outputs[k].textContent = `${number(x[i])}, ${number(y[i])}`;
      })});
      this.show("plane", fig, drawn);
    }

    /** Switches of curves, each with its value at the cursor. */
    legend(box, place, all, renderers, bodies) {
      const outputs = all.map(() => make("span", {class: "number"}));
      box.append(make("ul", {class: "legend", tabindex: 0, "aria-label": `Curves of ${box.firstChild.textContent}`},
        ...all.map(({label}, k) => {
          const key = `${place} ${label}`;
          const box = make("input", {type: "checkbox", checked: !this.hidden.has(key), onchange: () => {
            renderers[k].visible = box.checked;
            this.hidden[box.checked ? "delete" : "add"](key);
            this.charts.get(place).move(this.index);
          }});
          return make("li", {}, make("label", {}, box, swatch(k, bodies), label), outputs[k]);
        })));
      return outputs;
    }

    async show(place, fig, drawn) {
      const chart = this.charts.get(place);
      chart.move(this.index);
      chart.view = await Bokeh.Plotting.show(fig, drawn);
      drawn.dataset.drawn = "yes";
    }

    close(place) {
      const chart = this.charts.get(place);
      this.charts.delete(place);
      chart?.view?.remove();
    }

    /** Move the cursor to an output time; linked: let other runs on the page follow. */
    move(index, linked = false) {
      this.index = index;
      const t = this.view.t[index];
      this.slider.value = index;
      this.clock.textContent = `t = ${number(t)}`;
      this.slider.setAttribute("aria-valuetext", this.clock.textContent);
      for (const chart of this.charts.values()) chart.move(index);
      if (linked) this.root.dispatchEvent(new CustomEvent("popflow-time", {bubbles: true, detail: t}));
    }

    /** Move the cursor to the output time next to t. */
    near(t, linked = true) {
      if (!(t > 0)) return;
      const distance = this.view.t.map(x => Math.abs(this.linear ? x - t : Math.log(x / t)));
      const index = distance.indexOf(Math.min(...distance));
      if (index !== this.index) this.move(index, linked);
    }

    /** Same stretch of time in all panels. */
    share({start, end}) {
      if (this.sharing || !(start > 0 || this.linear)) return;
      this.sharing = true;
      this.window = [start, end];
      for (const {range} of this.charts.values()) range?.setv({start, end});
      this.sharing = false;
    }

    /** Show a stretch of time around the cursor, longer by a factor, on the axis as it is drawn. */
    zoom(factor) {
      const {t} = this.view, [first, last] = this.whole;
      const [start, end] = this.window, at = Math.min(Math.max(t[this.index], start), end);
      const wider = edge => this.linear ? at + (edge - at) * factor : at * (edge / at) ** factor;
      this.share(factor === Infinity ? {start: first, end: last}
        : {start: Math.max(first, wider(start)), end: Math.min(last, wider(end))});
    }
  }

  const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;,=>?@^_`{|}~";

  /** Bytes of a number in base 85: five digits are four bytes. */
  function bytes(text) {
    const value = new Uint8Array(128);
    [...DIGITS].forEach((digit, k) => { value[digit.charCodeAt(0)] = k; });
    const short = (5 - text.length % 5) % 5, whole = text + "~".repeat(short);
    const view = new DataView(new ArrayBuffer(whole.length / 5 * 4));
    for (let i = 0, word = 0; i < whole.length; i += 5, word = 0) {
      for (let j = i; j < i + 5; j++) word = word * 85 + value[whole.charCodeAt(j)];
      view.setUint32(i / 5 * 4, word);
    }
    return new Uint8Array(view.buffer, 0, view.byteLength - short);
  }

  /** Text that the page carries packed: gzip in base 85. */
  async function unpacked(element) {
    const packed = bytes(element.textContent.trim());
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  }

  let library;
  /** Run BokehJS, once, when the first panel is to be drawn. */
  function bokeh() {
    return library ??= unpacked(document.getElementById("bokeh"))
      .then(code => document.head.append(make("script", {}, code)));
  }

  /** Draw one explorer. */
  async function begin(target) {
    const text = unpacked(target.querySelector("script"));
    await bokeh();
    target.explorer = new Explorer(target, JSON.parse(await text));
  }

  /** Draw each explorer below a root when it comes near the screen. */
  function explore(root) {
    const watcher = new IntersectionObserver(entries => {
      for (const {isIntersecting, target} of entries) if (isIntersecting) {
        watcher.unobserve(target);
        begin(target);
      }
    }, {rootMargin: "300px"});
    for (const target of root.querySelectorAll(".explorer")) watcher.observe(target);
  }

  /** Let the keyboard scroll a formula that is wider than the screen, and no other. */
  function reachable(root) {
    for (const box of root.querySelectorAll(".math, .wide")) {
      // A formula that is a little too wide is set smaller; one that is much too wide scrolls.
      if (box.classList.contains("math")) {
        box.style.fontSize = "";
        const size = Math.max(SMALLEST, box.clientWidth / box.scrollWidth);
        const full = parseFloat(getComputedStyle(box).fontSize);
        if (box.clientWidth && size < 1) box.style.fontSize = `${0.99 * size * full}px`;
      }
      // On a phone a figure is as wide as the screen, and larger while it has the focus.
      const enlarges = box.classList.contains("wide") && phone.matches;
      if (enlarges || box.scrollWidth > box.clientWidth) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    }
  }
  /** Unfold what the address names, so that a link leads to it. */
  function reveal() {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    for (let box = target.closest("details"); box; box = box.parentElement.closest("details")) box.open = true;
    target.scrollIntoView();
  }

  addEventListener("hashchange", reveal);
  addEventListener("DOMContentLoaded", reveal);
  addEventListener("resize", () => reachable(document));
  /** Draw the figures that a page carries packed, when they are unfolded. */
  async function draw(box) {
    for (const code of box.querySelectorAll("img + script")) {
      const text = await unpacked(code);
      code.previousElementSibling.src = URL.createObjectURL(new Blob([text], {type: "image/svg+xml"}));
      code.remove();
    }
    reachable(document); // what is folded has no width
  }

  addEventListener("toggle", event => event.target.open ? draw(event.target) : reachable(document), true);
  return {explore, make, reachable};
})();
