// What makes this page wider than the screen, each as a line.
const page = document.documentElement;
if (page.scrollWidth <= page.clientWidth) return [];
const beyond = [...document.body.querySelectorAll("*")]
  .filter((element) => element.getBoundingClientRect().right > page.clientWidth + 0.5)
  .map((element) => element.outerHTML.slice(0, 120));
return [`the page is ${page.scrollWidth} wide and ${page.clientWidth} are shown: ${beyond.slice(0, 5).join(" | ")}`];
