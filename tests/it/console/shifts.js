// What moved on this page while it came to rest, each as a line. Two frames are drawn first, so that what was still to come
// with the load is there.
//
// Beyond 0.1, the bound of a good page (web.dev, Cumulative Layout Shift): a browser that is short of time paints a table before all
// of its rows have been read, and widens a column by some pixels when they have.
const BOUND = 0.1;
const done = arguments[0];
const moves = [];
const observer = new PerformanceObserver((list) => moves.push(...list.getEntries()));
observer.observe({ type: "layout-shift", buffered: true });
requestAnimationFrame(() => requestAnimationFrame(() => {
  moves.push(...observer.takeRecords());
  done(moves.filter((move) => !move.hadRecentInput && move.value > BOUND).map((move) => {
    const what = move.sources.map(({ node }) => node?.outerHTML?.slice(0, 120) ?? node?.nodeName).join(", ");
    return `it moved by ${move.value.toFixed(4)}: ${what}`;
  }));
}));
