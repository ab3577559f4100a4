// The shape of a part of the page: its elements, without what they say.

/** Makes `shapeOf(node)` known to each document of `context`. */
export async function teach(context) {
  await context.addInitScript(() => {
    const named = (node) => [...node.attributes]
      .map(({ name, value }) => (["class", "role", "type", "scope"].includes(name) ? `${name}=${value}` : name))
      .sort().join(" ");
    window.shapeOf = (node) =>
      `<${node.localName} ${named(node)}>${[...node.children].map(window.shapeOf).join("")}</>`;
  });
}
