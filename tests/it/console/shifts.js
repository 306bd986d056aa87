// What moved on this page while it came to rest, each as a line. Two frames are drawn first, so that what was still to come
// with the load is there.
const done = arguments[0];
const moves = [];
const observer = new PerformanceObserver((list) => moves.push(...list.getEntries()));
observer.observe({ type: "layout-shift", buffered: true });
requestAnimationFrame(() => requestAnimationFrame(() => {
  moves.push(...observer.takeRecords());
  done(moves.filter((move) => !move.hadRecentInput).map((move) => {
    const what = move.sources.map(({ node }) => node?.outerHTML?.slice(0, 120) ?? node?.nodeName).join(", ");
    return `it moved by ${move.value.toFixed(4)}: ${what}`;
  }));
}));
