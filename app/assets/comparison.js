element.addEventListener("input", (event) => {
  const figure = event.target.closest("figure");
  if (figure) figure.style.setProperty("--at", `${event.target.value}%`);
});
