// Whether the focus shows on what has it. A page that was just left has none to show.
const focused = document.activeElement;
if (!focused || focused === document.body) return true;
const style = getComputedStyle(focused);
return (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0) || style.boxShadow !== "none";
