window.setTimeout = window.requestAnimationFrame = (act) => { Promise.resolve().then(act); return 0; };
